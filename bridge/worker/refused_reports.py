"""What is written when Postgres refuses a report, for example a result that cannot be stored.

First a simpler report is tried (`plainer`). A report may be refused in every form, because of a trigger or a constraint
of the host application. It is kept: its attempt is over, and only the report waits. If it were dropped, the attempt
would look as if it had never run, and would run again and again with no retry spent.

A result that is not JSON does not get here: outcome.py reports a failure for it.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from bridge.errors import BridgeError
from bridge.job import Cancelled, Completed, Failed
from bridge.worker.ending import Ending
from bridge.worker.runs import Runs

# Short at first, for a trigger that is just being repaired; later one try a minute costs nothing.
_FIRST_SECONDS, _MOST_SECONDS = 2.0, 60.0
_TEXT_REFUSED = "failed, and the database would not store why"


def plainer(ending: Ending, error: BridgeError) -> Ending | None:
    """A result that cannot be stored becomes a failure; such a failure loses its text. None: none is left."""
    match ending.report:
        case Completed():
            report = Failed(f"the result could not be stored: {error}")
        case Failed() as failed if failed != (plain := Failed(_TEXT_REFUSED, final=failed.final)):
            report = plain
        case Cancelled():
            report = Failed(_TEXT_REFUSED, final=True)
        case _:
            return None
    return replace(ending, report=report, first=ending.first or ending.report)


def as_at_first(ending: Ending) -> Ending:
    """The ending before simpler reports replaced its own, which may be accepted when it is tried again."""
    return replace(ending, report=ending.first or ending.report, first=None)


@dataclass(slots=True)
class _Refused:
    ending: Ending
    times: int
    due_at: float | None  # by `time.monotonic()`; None while it is on its way to Postgres


class RefusedReports:
    """Keeps each until it is settled: due again after 2 s, 4 s, 8 s, … up to a minute.

    Until then the heartbeat still holds the attempt, so that it is not run again. What is left when this process ends
    is taken back as crashed, which spends a retry.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._lock = threading.Lock()
        self._refused: dict[UUID | None, _Refused] = {}

    def has(self, ending: Ending) -> bool:
        return ending.key.exec in self._refused

    def keep(self, ending: Ending) -> None:
        self._runs.set_aside(ending.key)
        with self._lock:
            before = self._refused.get(ending.key.exec)
            times = before.times + 1 if before else 1
            wait = min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** min(times - 1, 10))
            self._refused[ending.key.exec] = _Refused(as_at_first(ending), times, time.monotonic() + wait)

    def settled(self, endings: Iterable[Ending]) -> None:
        if not self._refused:
            return
        with self._lock:
            for ending in endings:
                self._refused.pop(ending.key.exec, None)

    def take_due(self, by: float) -> list[Ending]:
        """Those that are due at the time `by`. The caller reports each again, and then calls `keep` or `settled`."""
        with self._lock:
            due = [one for one in self._refused.values() if one.due_at is not None and one.due_at <= by]
            for one in due:
                one.due_at = None
        return [one.ending for one in due]

    def left(self) -> list[tuple[UUID, bool]]:
        """Job ids, and whether Postgres refused the report again since it was last taken."""
        with self._lock:
            return [(one.ending.key.job_id, one.due_at is not None) for one in self._refused.values()]

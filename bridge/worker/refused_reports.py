"""Reports that Postgres refuses in every form, for now: because of a trigger or a constraint of the host application.

Their attempts are over, and only the report waits. If it were dropped, the attempt would look as if it had never run,
and would run again and again with no retry spent.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from bridge.worker.ending import Ending
from bridge.worker.runs import Runs

# Short at first, for a trigger that is just being repaired; later one try a minute costs nothing.
_FIRST_SECONDS, _MOST_SECONDS = 2.0, 60.0


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
            self._refused[ending.key.exec] = _Refused(ending.as_at_first(), times, time.monotonic() + wait)

    def settled(self, endings: Iterable[Ending]) -> None:
        if not self._refused:
            return
        with self._lock:
            for ending in endings:
                self._refused.pop(ending.key.exec, None)

    def take_due(self, by: float) -> list[Ending]:
        """Those to be reported again by that moment; each is to be kept again, or settled."""
        with self._lock:
            due = [one for one in self._refused.values() if one.due_at is not None and one.due_at <= by]
            for one in due:
                one.due_at = None
        return [one.ending for one in due]

    def left(self) -> list[tuple[UUID, bool]]:
        """Job ids, and whether Postgres refused the report again since it was last taken."""
        with self._lock:
            return [(one.ending.key.job_id, one.due_at is not None) for one in self._refused.values()]

"""Jobs whose rows Postgres will not change: each is named once, and tried again ever more seldom."""

import logging
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

logger = logging.getLogger(__name__)

# Until a refused job is tried again: soon at first, then twice as long each time. Every five minutes costs next to
# nothing, and is soon enough after somebody mended the constraint or trigger that refuses it.
_FIRST_SECONDS, _MOST_SECONDS = 1.0, 300.0
_FORGOTTEN_SECONDS = 600.0  # not seen for so long after it was due: it ended another way, or nobody can run it
_KEPT_MOST = 10_000  # a few megabytes; the ids of those that are not due go to Postgres with each claim
_SAID = re.compile(r"mobvibe: job (?P<job>[0-9a-f-]{36}) (?P<what>cannot be [a-z ]+): (?P<why>.*)")


@dataclass(slots=True)
class _Retry:
    due_at: float  # monotonic
    wait_seconds: float


class RetryTimes:
    """When each of the refused jobs may be tried again: after 1 s, 2 s, 4 s, … up to five minutes. For one thread."""

    def __init__(self) -> None:
        self._retries: dict[UUID, _Retry] = {}
        self._told_full = False

    def __bool__(self) -> bool:
        return bool(self._retries)

    @property
    def is_full(self) -> bool:
        """Further ones are neither kept nor named: each claim carries these, and names would fill a log."""
        return len(self._retries) >= _KEPT_MOST

    def skip(self, now: float) -> list[UUID]:
        """Those whose time has not come again."""
        for job_id in [one for one, retry in self._retries.items() if now > retry.due_at + _FORGOTTEN_SECONDS]:
            del self._retries[job_id]
        return [job_id for job_id, retry in self._retries.items() if retry.due_at > now]

    def refused(self, job_id: UUID, now: float) -> bool:
        """True for the first time, when it is to be named."""
        before = self._retries.get(job_id)
        if before is None and self.is_full:
            self._tell_full()
            return False
        wait = min(2 * before.wait_seconds, _MOST_SECONDS) if before else _FIRST_SECONDS
        self._retries[job_id] = _Retry(now + wait, wait)
        return before is None

    def _tell_full(self) -> None:
        if not self._told_full:
            self._told_full = True
            logger.error("Postgres refuses to change more rows of jobs than are named", extra={"named": _KEPT_MOST})

    def got_through(self, job_ids: Iterable[UUID], now: float) -> list[UUID]:
        """Those of them that had been refused: a reason to try the others again at once."""
        through = [job_id for job_id in job_ids if self._retries.pop(job_id, None)]
        if through:
            for retry in self._retries.values():
                retry.due_at = min(retry.due_at, now)
        return through


class RefusedRows:
    """What our functions in Postgres say of rows that they cannot change, on one connection. For one thread.

    They say it with every try, as a warning of the form `mobvibe: job <id> cannot be <what> now: <why>`.
    """

    def __init__(self) -> None:
        self._times: defaultdict[str, RetryTimes] = defaultdict(RetryTimes)

    def heard(self, message: str | None) -> None:
        """A notice of the server."""
        said = _SAID.match(message or "")
        if said is None:
            return
        what = said["what"]
        if self._times[what].refused(UUID(said["job"]), time.monotonic()):
            logger.error(
                "Job %s: Postgres refuses to change its row", what, extra={"jobId": said["job"], "reason": said["why"]}
            )

    def skip(self, what: str) -> list[UUID]:
        """The jobs of which that was said, until they are to be tried again."""
        return self._times[what].skip(time.monotonic())

    def got_through(self, what: str, job_ids: Iterable[UUID]) -> None:
        """That was done with these jobs."""
        self._times[what].got_through(job_ids, time.monotonic())

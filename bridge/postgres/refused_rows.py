"""Rows that Postgres refuses to change: each is logged once. Jobs are tried again, less and less often."""

import logging
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

logger = logging.getLogger(__name__)

# Until a refused job is tried again: soon at first, then twice as long each time. Every five minutes costs next to
# nothing, and is soon enough after an operator corrected the constraint or trigger that refuses it.
_FIRST_SECONDS, _MOST_SECONDS = 1.0, 300.0
_EXPIRY_SECONDS = 600.0  # not seen for so long after it was due: it has ended, or no live worker can run it
_LIMIT = 10_000  # a few megabytes; the ids of those that are not due go to Postgres with each claim
_NOTICE = re.compile(r"mobvibe: job ([0-9a-f-]{36}) (cannot be [a-z ]+): (.*)")
_SESSION_NOTICE = re.compile(r"mobvibe: session ([0-9a-f-]{36}) cannot be set to (active|completed|failed): (.*)")


@dataclass(slots=True)
class _Retry:
    due_at: float  # monotonic
    wait_seconds: float


class RetryTimes:
    """When each of the refused jobs may be tried again: after 1 s, 2 s, 4 s, … up to five minutes. For one thread."""

    def __init__(self) -> None:
        self._retries: dict[UUID, _Retry] = {}
        self._is_full_logged = False

    def __bool__(self) -> bool:
        return bool(self._retries)

    @property
    def is_full(self) -> bool:
        """More jobs are neither kept nor logged: each claim sends the kept ids, and one line each would fill a log."""
        return len(self._retries) >= _LIMIT

    def skip(self, now: float) -> list[UUID]:
        """Jobs that may not be tried again yet."""
        for job_id in [job_id for job_id, retry in self._retries.items() if now > retry.due_at + _EXPIRY_SECONDS]:
            del self._retries[job_id]
        return [job_id for job_id, retry in self._retries.items() if retry.due_at > now]

    def refused(self, job_id: UUID, now: float) -> bool:
        """Note a refusal; True for the first one of a job, which is to be logged."""
        before = self._retries.get(job_id)
        if before is None and self.is_full:
            self._log_full()
            return False
        wait = min(2 * before.wait_seconds, _MOST_SECONDS) if before else _FIRST_SECONDS
        self._retries[job_id] = _Retry(now + wait, wait)
        return before is None

    def _log_full(self) -> None:
        if not self._is_full_logged:
            self._is_full_logged = True
            logger.error("Postgres refuses to change more rows of jobs than are named", extra={"named": _LIMIT})

    def succeeded(self, job_ids: Iterable[UUID], now: float) -> list[UUID]:
        """Note what was changed; returns which of these had been refused. The others then become due at once."""
        mended = [job_id for job_id in job_ids if self._retries.pop(job_id, None)]
        if mended:
            for retry in self._retries.values():
                retry.due_at = min(retry.due_at, now)
        return mended


class RefusedRows:
    """The rows that our functions in Postgres cannot change, on one connection. For one thread.

    Each try raises a notice for such a row, a warning of the form `mobvibe: job <id> cannot be <what> now: <why>`, or
    `mobvibe: session <id> cannot be set to <status>: <why>`.
    """

    def __init__(self) -> None:
        self._times: defaultdict[str, RetryTimes] = defaultdict(RetryTimes)
        self._sessions: set[tuple[str, str]] = set()  # ids and statuses that were logged

    def on_notice(self, message: str | None) -> None:
        """Called with the text of each notice that the server sends."""
        if notice := _NOTICE.match(message or ""):
            self._on_job(*notice.groups())
        elif notice := _SESSION_NOTICE.match(message or ""):
            self._on_session(*notice.groups())

    def _on_job(self, job_id: str, what: str, reason: str) -> None:
        if self._times[what].refused(UUID(job_id), time.monotonic()):
            logger.error("Job %s: Postgres refuses to change its row", what, extra={"jobId": job_id, "reason": reason})

    def _on_session(self, session_id: str, status: str, reason: str) -> None:
        if (session_id, status) in self._sessions:  # the report of its job was written again
            return
        if len(self._sessions) >= _LIMIT:
            self._sessions.clear()
        self._sessions.add((session_id, status))
        logger.error(
            "Session keeps its status: Postgres refuses to change its row. Its job goes on. "
            "Correct what refuses it, then set the status by hand",
            extra={"sessionId": session_id, "wanted": status, "reason": reason},
        )

    def skip(self, what: str) -> list[UUID]:
        """The jobs for which `what` was refused and may not be tried again yet."""
        return self._times[what].skip(time.monotonic())

    def succeeded(self, what: str, job_ids: Iterable[UUID]) -> None:
        """Note that `what` succeeded for these jobs: they are not refused any more."""
        self._times[what].succeeded(job_ids, time.monotonic())

"""Deletes finished jobs after a time, except those whose deletion the database refuses."""

import logging
import time
from datetime import timedelta
from uuid import UUID

from bridge.postgres.job_queue import JobQueue
from bridge.postgres.queue_rows import Pruned

logger = logging.getLogger(__name__)

_MOST = 1000  # jobs in one statement, so that it stays short
_KEPT_SECONDS = 3600.0  # until those that were refused are tried again: each costs a statement of its own
_BEFORE_ALL = Pruned(last_at="-infinity", last_id=UUID(int=0))


class Retention:
    """Deletes the oldest first. When some are refused it continues after them, and starts again an hour later."""

    def __init__(self, queue: JobQueue, age: timedelta) -> None:
        self._queue = queue
        self._age = age
        self._behind: Pruned | None = None  # continue after this one, while some are refused
        self._begin_at = 0.0
        self._kept = 0
        self._why: str | None = None
        self._is_logged = False

    def step(self) -> bool:
        """Delete the next batch; True when another one should follow at once."""
        if self._behind and time.monotonic() >= self._begin_at:
            self._behind, self._kept, self._why = None, 0, None
        found = self._queue.prune_jobs(self._age, limit=_MOST, behind=self._behind)
        if found.pruned:
            logger.debug("Finished jobs pruned", extra={"jobs": found.pruned})
        if self._behind:
            self._behind = found
            self._kept += found.kept
            self._why = self._why or found.kept_by
        elif found.kept:
            self._behind, self._begin_at = _BEFORE_ALL, time.monotonic() + _KEPT_SECONDS
            return True
        if not found.more:
            self._log()
        return found.more

    def _log(self) -> None:
        if self._why and not self._is_logged:
            extra = {"jobs": self._kept, "reason": self._why}
            logger.warning("Finished jobs stay: the database refuses to delete them", extra=extra)
        elif self._is_logged and not self._why:
            logger.info("All finished jobs can be deleted again")
        self._is_logged = self._why is not None

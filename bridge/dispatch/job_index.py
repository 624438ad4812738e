"""Indexes the words of jobs, some at a time, after they have ended: no job's way is longer for it."""

import logging
import time

from bridge.errors import PostgresBusyError, SchemaError
from bridge.postgres.job_queue import JobQueue

logger = logging.getLogger(__name__)

# In one statement: a tenth of a second, with long prompts more. Under traffic Upkeep asks once a second, or less often.
_JOBS_MOST, _JOBS_LEAST = 500, 1
_LOOKED_AT = 5_000  # jobs, by the sweep: some ten milliseconds, of which nearly none are indexed
_LONG_SECONDS = 0.1  # then the next batch is smaller: under traffic that is a tenth of one core at most
_QUICK_SECONDS, _GROWTH = 0.05, 1.25  # a batch that grows from here is not refused again


class JobIndexer:
    """Every bridge tries it, and one indexes: see index_jobs (search.sql)."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._limit = _JOBS_MOST

    def step(self) -> bool:
        """Index the next batch; True when another one should follow."""
        began = time.monotonic()
        try:
            found = self._queue.index_jobs(limit=self._limit, looked_at=_LOOKED_AT)
        except SchemaError as error:
            if "index_jobs" in str(error):  # the version before has no such function, and no index
                return False
            raise
        except PostgresBusyError:
            self._resize(0.5)
            raise
        took = time.monotonic() - began
        if took > _LONG_SECONDS:
            self._resize(0.5)
        elif took < _QUICK_SECONDS:
            self._resize(_GROWTH)
        if found.indexed:
            logger.debug("Jobs indexed", extra={"jobs": found.indexed})
        return found.more

    def _resize(self, by: float) -> None:
        self._limit = min(_JOBS_MOST, max(_JOBS_LEAST, int(self._limit * by + (by > 1))))

"""Records what happened in each minute, soon after the minute has ended."""

import logging
import time

from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.older_schema import unless_missing

logger = logging.getLogger(__name__)

_MINUTE_SECONDS = 60.0  # what is recorded at a time
# After the end of a minute, until what began in it has most likely committed. What commits later is counted with the
# next two minutes.
_AFTER_SECONDS = 1.0
_AGAIN_SECONDS = (
    10.0  # when nothing was recorded: another bridge did it, Postgres refused, or our clock is ahead of its
)
_PRUNE_MOST = 5_000  # rows in one statement, so that it stays short: more than a minute adds with a hundred queues


class HistoryRecorder:
    """Every bridge tries it, and one records: see record_history (history.sql). Each adds its own hand-overs."""

    def __init__(self, queue: JobQueue, hand_over_times: HandOverTimes) -> None:
        self._queue = queue
        self._times = hand_over_times
        self._due_at = 0.0

    def step(self) -> None:
        """Record what is not recorded yet, once a minute, and delete what is too old."""
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + _AGAIN_SECONDS  # first: an error must wait, too
        if recorded := unless_missing(self._record):
            logger.debug("History recorded", extra={"minutes": recorded})
            self._due_at = time.monotonic() + _MINUTE_SECONDS - time.time() % _MINUTE_SECONDS + _AFTER_SECONDS
            self._queue.prune_history(limit=_PRUNE_MOST)

    def _record(self) -> int:
        # Taken even if this fails: what Postgres may have counted must not be counted twice.
        self._queue.add_hand_overs(self._times.take())
        return self._queue.record_history()

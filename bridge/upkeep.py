"""What keeps the tables small: counts folded, finished jobs and workers pruned, whoever holds back vacuum named."""

import logging
import time
from datetime import timedelta

from bridge.job_queue import JobQueue

logger = logging.getLogger(__name__)

HELD_SECONDS = 300.0  # a transaction this old is more than a slow query
_FOLD_MOST = 10_000
_MANY = 100
_PRUNE_MOST = 1000
_REST_SECONDS = 10.0
_BUSY_REST_SECONDS = 1.0
_LOOK_SECONDS = 60.0
_PRUNE_WORKERS_SECONDS = 3600.0
_WORKERS_KEPT = timedelta(days=7)


class Upkeep:
    """Every bridge may: each step is a short statement of its own, and harmless when doubled.

    `retention` None keeps finished jobs for ever.
    """

    def __init__(self, queue: JobQueue, *, retention: timedelta | None) -> None:
        self._queue = queue
        self._retention = retention
        self._look_at = 0.0
        self._held_by: str | None = None
        self._prune_workers_at = 0.0

    def step(self) -> float:
        """One round; the seconds to rest."""
        folded = self._queue.fold_job_counts(limit=_FOLD_MOST)
        pruned = self._prune()
        if time.monotonic() >= self._look_at:
            self._look_for_holders()
            self._look_at = time.monotonic() + _LOOK_SECONDS
        if time.monotonic() >= self._prune_workers_at:
            self._prune_workers_at = time.monotonic() + _PRUNE_WORKERS_SECONDS  # whether it gets through or not
            self._queue.prune_workers(_WORKERS_KEPT)
        if pruned == _PRUNE_MOST or folded >= _FOLD_MOST // 2:
            return 0.0
        return _BUSY_REST_SECONDS if folded >= _MANY else _REST_SECONDS

    def _prune(self) -> int:
        if self._retention is None:
            return 0
        pruned = self._queue.prune_jobs(self._retention, limit=_PRUNE_MOST)
        if pruned:
            logger.debug("Finished jobs pruned", extra={"jobs": pruned})
        return pruned

    def _look_for_holders(self) -> None:
        """Say once who keeps dead rows from being removed, and once that it is over."""
        holder = self._queue.vacuum_holder(HELD_SECONDS)
        if holder is not None and holder.name != self._held_by:
            logger.warning(
                "Vacuum is held back: dead rows pile up until it ends",
                extra={"by": f"{holder.kind} {holder.name}", "seconds": holder.seconds and int(holder.seconds)},
            )
        elif holder is None and self._held_by is not None:
            logger.info("Vacuum is no longer held back")
        self._held_by = holder.name if holder else None

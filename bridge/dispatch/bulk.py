"""Acts on the next batch of jobs that a bulk operation means."""

import logging

from bridge.errors import SchemaError
from bridge.postgres.job_queue import JobQueue

logger = logging.getLogger(__name__)

_JOBS_MOST = 1000  # in one batch, whose rows are locked until its commit: a tenth of a second
_LOOKED_AT = 10_000  # jobs: reading them takes some ten milliseconds, however few of them match
_LEAST_REST_SECONDS = 1.0  # while another bridge acts on what is due


class BulkOperations:
    """Every bridge does this. An operation is never acted on by two at once."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def step(self) -> float | None:
        """Act on one batch, if one is due. The seconds until the next one is; None: no operation is under way."""
        try:
            batch = self._queue.run_bulk_batch(limit=_JOBS_MOST, looked_at=_LOOKED_AT)
        except SchemaError as error:
            if "run_bulk_batch" in str(error):  # the version before has no such function, and no bulk operations
                return None
            raise
        if batch.id is None:
            return None if batch.wait is None else max(batch.wait, _LEAST_REST_SECONDS)
        if batch.refusal is not None:
            extra = {"operation": batch.id, "jobs": batch.skipped, "reason": batch.refusal}
            logger.warning("Jobs of a bulk operation are skipped: the database refuses to change them", extra=extra)
        if batch.state in ("done", "stopped"):
            logger.info(
                "Bulk operation ended", extra={"operation": batch.id, "action": batch.action, "state": batch.state}
            )
        return None if batch.wait is None else max(batch.wait, 0.0)

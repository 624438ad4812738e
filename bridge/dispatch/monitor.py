"""Queue statistics every MONITOR_INTERVAL_MS: one log line, and two Redis keys for dashboards without Postgres."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from bridge.errors import RedisUnavailableError
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.queue_rows import QueueStats, hours_minutes_seconds
from bridge.transport.client import Client, translate_redis_errors
from bridge.transport.names import names_of

logger = logging.getLogger(__name__)

# Before dashboards see nothing, one update may fail and another be late.
_KEPT_INTERVALS, _KEPT_MARGIN_SECONDS = 3, 1.0


def log_fields(stats: QueueStats) -> dict[str, Any]:
    """The statistics under the names that the Node worker logged."""
    return {
        "pending": stats.pending_count,
        "processing": stats.processing_count,
        "completed": stats.completed_count,
        "failed": stats.failed_count,
        "oldestPending": hours_minutes_seconds(stats.oldest_pending_age),
        "successRate": f"{stats.success_rate or 0:.1f}",
    }


class Monitor:
    """Logs the statistics and publishes them in Redis.

    `<namespace>:__stats__` is a hash of plain values, `<namespace>:__stats__.json` the same as one JSON
    object. Both expire when no bridge renews them.
    """

    def __init__(self, queue: JobQueue, client: Client, *, namespace: str, interval_seconds: float) -> None:
        self._queue = queue
        self._client = client
        self._key = names_of(client, namespace).stats
        self._interval_seconds = interval_seconds

    def step(self) -> float:
        """Log and publish the statistics once; the seconds to rest until the next time."""
        stats = self._queue.get_queue_stats()
        fields = log_fields(stats)
        logger.info("Queue statistics", extra=fields)
        try:
            self._publish(stats, fields)
        except RedisUnavailableError as error:
            logger.debug("Statistics were not published", extra={"reason": str(error)})
        return self._interval_seconds

    def _publish(self, stats: QueueStats, fields: dict[str, Any]) -> None:
        age = stats.oldest_pending_age
        values = fields | {
            "oldestPendingSeconds": None if age is None else round(age.total_seconds(), 3),
            "updatedAt": datetime.now(UTC).isoformat(),
        }
        ttl_ms = int((_KEPT_INTERVALS * self._interval_seconds + _KEPT_MARGIN_SECONDS) * 1000)
        with translate_redis_errors():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.delete(self._key)
            pipeline.hset(self._key, mapping={name: value for name, value in values.items() if value is not None})
            pipeline.pexpire(self._key, ttl_ms)
            pipeline.set(f"{self._key}.json", json.dumps(values), px=ttl_ms)
            pipeline.execute()

"""Queue statistics every MONITOR_INTERVAL_MS: one log line, and three Redis keys for dashboards without Postgres."""

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
# Half a minute apart, a day of them: some 300 kB. They are kept for a day after the last one.
_SAMPLES_MOST, _SAMPLES_KEPT_MS = 2880, 86_400_000


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
    object. `<namespace>:__stats__.samples` is a stream of what the hash held: the last 2880 or some more. All expire
    when no bridge renews them.
    """

    def __init__(self, queue: JobQueue, client: Client, *, namespace: str, interval_seconds: float) -> None:
        self._queue = queue
        self._client = client
        names = names_of(client, namespace)
        self._key, self._samples = names.stats, names.samples
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
        self._add_sample({name: value for name, value in values.items() if value is not None})

    def _add_sample(self, values: Any) -> None:
        """By itself, because a user whose rights are of an earlier version may not do it."""
        with translate_redis_errors():
            self._client.xadd(self._samples, values, maxlen=_SAMPLES_MOST, approximate=True)
            self._client.pexpire(self._samples, _SAMPLES_KEPT_MS)

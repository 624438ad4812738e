"""The log line of a queue's statistics."""

from datetime import timedelta

from bridge.dispatch.monitor import log_fields
from bridge.postgres.queue_rows import QueueStats


def test_statistics_have_the_node_workers_names() -> None:
    fields = log_fields(QueueStats(5, 2, 143, 1, timedelta(seconds=15)))

    assert fields == {
        "pending": 5, "processing": 2, "completed": 143, "failed": 1,
        "oldestPending": "00:00:15", "successRate": "99.3",
    }  # fmt: skip
    assert log_fields(QueueStats(0, 0, 0, 0, None))["successRate"] == "0.0"

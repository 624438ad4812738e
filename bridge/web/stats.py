"""/stats: the queue statistics for people and scripts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify

from bridge.postgres.queue_rows import hours_minutes_seconds
from bridge.web.services import Services

_STATUSES = ("pending", "processing", "completed", "failed", "cancelled")


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("stats", __name__)

    @pages.get("/stats")
    def stats() -> Response:
        return jsonify(aggregated_stats(services))

    return pages


def aggregated_stats(services: Services) -> dict[str, Any]:
    """Jobs by status, with the names of the log line "Queue statistics"; the same by queue; and the workers."""
    figures = services.statistics.get()
    queues = figures["queues"]
    total = {status: sum(row[status] for row in queues) for status in _STATUSES}
    finished = total["completed"] + total["failed"]
    age = max((row["oldest_pending_seconds"] or 0.0 for row in queues if row["pending"]), default=None)
    return {
        **total,
        "oldestPending": None if age is None else hours_minutes_seconds(timedelta(seconds=age)),
        "oldestPendingSeconds": None if age is None else round(age, 3),
        "successRate": f"{100 * total['completed'] / finished:.1f}" if finished else "0.0",
        "queues": [
            {"queue": row["queue"]}
            | {status: row[status] for status in _STATUSES}
            | {"paused": row["queue"] in figures["pauses"]}
            for row in queues
        ],
        "workers": {name: int(value) for name, value in figures["workers"].items()},
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }

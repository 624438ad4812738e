"""/stats."""

from datetime import UTC, datetime, timedelta

from flask.testing import FlaskClient

from tests.support.rows import Rows
from tests.support.steps import Steps


def test_statistics_are_aggregated(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    rows.add_job(created_at=datetime.now(UTC) - timedelta(seconds=75))
    rows.add_job(actor="x", queue="reports")
    rows.all("SELECT pause_queue('reports')")
    for status in ("completed", "completed", "failed", "cancelled"):
        rows.add_job(status=status)
    steps.add_worker(slots=4)
    steps.start(steps.add_worker(slots=2), steps.claim_one())

    answer = client.get("/stats")

    assert answer.json is not None
    stats = answer.json
    assert [stats[name] for name in ("pending", "processing", "completed", "failed", "cancelled")] == [1, 1, 2, 1, 1]
    assert stats["successRate"] == "66.7"
    assert stats["queues"] == [
        {"queue": "coding", "paused": False}
        | {"pending": 0, "processing": 1, "completed": 2, "failed": 1, "cancelled": 1},
        {"queue": "reports", "paused": True}
        | {"pending": 1, "processing": 0, "completed": 0, "failed": 0, "cancelled": 0},
    ]
    assert stats["workers"] == {"workers": 2, "slots": 6, "busy": 1}

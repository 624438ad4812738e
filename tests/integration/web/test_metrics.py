"""/metrics."""

from datetime import UTC, datetime, timedelta

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests.support.rows import Rows
from tests.support.steps import Steps


def test_metrics_can_be_read_by_prometheus(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    rows.add_job(created_at=datetime.now(UTC) - timedelta(seconds=75))
    rows.add_job(status="completed")
    rows.all("SELECT pause_queue('not-yet')")
    rows.all("INSERT INTO job_counts (queue, ever_session_refused) VALUES ('coding', 2)")
    steps.add_worker(slots=4)

    answer = client.get("/metrics")

    samples = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["bridge_queue_depth", ("coding", "pending")] == 1
    assert 75 <= samples["bridge_oldest_pending_age_seconds", ("coding",)] < 135
    assert samples["bridge_queue_paused", ("coding",)] == 0
    assert samples["bridge_queue_paused", ("not-yet",)] == 1
    assert samples["bridge_jobs_finished_total", ("completed", "coding")] == 1
    assert samples["bridge_session_updates_refused_total", ("coding",)] == 2
    assert samples["bridge_vacuum_held_seconds", ()] == 0
    assert samples["bridge_workers", ()] == 1
    assert samples["bridge_worker_slots", ("total",)] == 4
    assert [samples["bridge_up", (component,)] for component in ("postgres", "schema", "redis")] == [1, 1, 1]


def test_metrics_are_served_on_the_older_schema(client: FlaskClient, rows: Rows) -> None:
    rows.add_job()
    rows.all("ALTER TABLE job_counts DROP COLUMN ever_session_refused; DROP TABLE queue_pauses")

    assert 'bridge_queue_depth{queue="coding",state="pending"} 1.0' in client.get("/metrics").text


def test_metrics_are_served_without_the_stores(cut_off: FlaskClient) -> None:
    answer = cut_off.get("/metrics")

    assert answer.status_code == 200
    assert 'bridge_up{component="postgres"} 0.0' in answer.text
    assert "bridge_queue_depth" not in answer.text

"""/metrics."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from documentation import metrics
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


def test_the_page_of_metrics_lists_those_that_are_answered(client: FlaskClient) -> None:
    answered = {family.name for family in text_string_to_metric_families(client.get("/metrics").text)}

    assert {name for name in answered if not name.startswith("process_")} == {one.name for one in metrics.families()}


NAMED = re.compile(r"\bbridge_[a-z_]+")
DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.mark.parametrize("file", ["grafana-prometheus.json", "alerts.yaml"])
def test_each_metric_that_dashboards_and_alerts_name_exists(
    client: FlaskClient, rows: Rows, steps: Steps, file: str
) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, fence, created_at, claimed_at, started_at, completed_at)"
        " SELECT 'completed', 1, t, t, t, t FROM (SELECT now() - interval '2 minutes' AS t) m"
    )
    rows.all("INSERT INTO job_counts (queue, ever_session_refused) VALUES ('coding', 1)")
    steps.queue.record_history()

    families = text_string_to_metric_families(client.get("/metrics").text)
    found = {sample.name for family in families for sample in family.samples}

    named = set(NAMED.findall((DEPLOY / file).read_text()))
    assert named
    assert named <= found


def test_a_queue_that_has_drained_shows_zero(client: FlaskClient, rows: Rows) -> None:
    """A figure that is missing would be taken for its last value by some dashboards."""
    job = rows.add_job(queue="embed")
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [job])

    page = client.get("/metrics").text

    assert 'bridge_queue_depth{queue="embed",state="pending"} 0.0' in page
    assert 'bridge_oldest_pending_age_seconds{queue="embed"} 0.0' in page


def test_metrics_are_served_on_the_older_schema(client: FlaskClient, rows: Rows) -> None:
    rows.add_job()
    rows.all(
        "ALTER TABLE job_counts DROP COLUMN ever_session_refused; DROP TABLE queue_pauses; DROP TABLE queue_history"
    )

    assert 'bridge_queue_depth{queue="coding",state="pending"} 1.0' in client.get("/metrics").text


def test_metrics_are_served_without_the_stores(cut_off: FlaskClient) -> None:
    answer = cut_off.get("/metrics")

    assert answer.status_code == 200
    assert 'bridge_up{component="postgres"} 0.0' in answer.text
    assert "bridge_queue_depth" not in answer.text

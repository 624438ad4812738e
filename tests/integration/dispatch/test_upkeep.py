"""The upkeep of tables: a step that Postgres refuses does not stop the others."""

import logging
from datetime import timedelta

import psycopg
import pytest

from bridge.dispatch.upkeep import Upkeep
from tests.support.rows import Rows, old_jobs
from tests.support.steps import Steps

DAY = timedelta(days=1)
COUNTS = "Upkeep cannot do this now (Postgres does not allow this the way it is set up): add up the counts of jobs"


def test_a_refused_step_stops_no_other_and_is_logged_once(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    old_jobs(rows, 3)
    worker = steps.add_worker()
    rows.all("UPDATE workers SET stopped_at = now() - interval '8 days' WHERE id = %s", [worker])
    rows.all("ALTER TABLE job_counts REPLICA IDENTITY NOTHING; CREATE PUBLICATION theirs FOR ALL TABLES")
    upkeep = Upkeep(steps.queue, retention=DAY)

    upkeep.step()
    upkeep.step()

    assert rows.all("SELECT id FROM coding_jobs") == rows.all("SELECT id FROM workers") == []
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage() == COUNTS
    assert "replica identity" in record.reason  # type: ignore[attr-defined]

    rows.all("DROP PUBLICATION theirs")
    caplog.set_level(logging.INFO)
    upkeep.step()
    assert caplog.messages[-1] == "Upkeep goes on: add up the counts of jobs"


def test_the_history_is_recorded_before_jobs_are_deleted(steps: Steps, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, created_at, completed_at)"
        " SELECT 'completed', t, t FROM (SELECT now() - interval '2 minutes' AS t) m"
    )

    Upkeep(steps.queue, retention=timedelta(minutes=1)).step()

    assert rows.all("SELECT FROM coding_jobs") == []
    assert rows.value("SELECT sum(completed) FROM queue_history WHERE seconds = 60") == 1


def test_rows_of_long_ended_workers_are_deleted_and_a_locked_one_is_skipped(steps: Steps, rows: Rows, dsn: str) -> None:
    old, held, live = (steps.add_worker() for _ in range(3))
    rows.all("UPDATE workers SET stopped_at = now() - interval '8 days' WHERE id <> %s", [live])
    upkeep = Upkeep(steps.queue, retention=None)
    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM workers WHERE id = %s FOR UPDATE", [held])
        upkeep.step()
        upkeep.step()

    assert rows.value("SELECT count(*) FROM workers WHERE id = %s", [old]) == 1, "tried once an hour"
    Upkeep(steps.queue, retention=None).step()
    assert [row["id"] for row in rows.all("SELECT id FROM workers")] == [live]


def test_under_heavy_traffic_words_are_indexed_now_and_then(steps: Steps, rows: Rows) -> None:
    def end_jobs(count: int) -> None:
        """In a statement each: the rows of counts show that there is traffic."""
        for _ in range(count):
            rows.all(
                """INSERT INTO coding_jobs (status, prompt, created_at, completed_at)
                   SELECT 'completed', 'words', now(), now() - interval '1 minute' FROM generate_series(1, 10)"""
            )

    upkeep = Upkeep(steps.queue, retention=None)
    end_jobs(150)
    upkeep.step()
    first = rows.value("SELECT count(*) FROM job_search")
    end_jobs(150)
    upkeep.step()

    assert 0 < first < 1500
    assert rows.value("SELECT count(*) FROM job_search") == first, "its time has not come"

    upkeep.step()
    assert rows.value("SELECT count(*) FROM job_search") > first, "there is no traffic any more"

"""Rows that Postgres refuses to change, in `claim_next_job`: it takes the next job."""

import time

import psycopg
import pytest

from bridge.postgres.job_queue import JobQueue
from tests.integration.dispatch.test_refusals import CAUSES, CHECKED, DEFERRED, named_jobs
from tests.integration.postgres.test_refused_steps import TRIED, count_tries
from tests.support.rows import Rows
from tests.support.steps import Steps


@pytest.mark.parametrize(("cause", "end"), CAUSES)
@pytest.mark.parametrize("scheduled", [False, True])
def test_claim_next_job_skips_a_refused_job(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str, scheduled: bool
) -> None:
    refused, *others = [rows.add_job(priority=priority) for priority in (9, 2, 1)]
    if scheduled:
        rows.all("UPDATE coding_jobs SET run_at = clock_timestamp(), due = false")
        rows.all("UPDATE coding_jobs SET due = false")
    rows.all(cause)

    claimed = [steps.queue.claim_next_job() for _ in range(3)]

    assert [job and job.job_id for job in claimed] == [*others, None]
    assert (rows.job(refused)["status"], rows.job(refused)["fence"]) == ("pending", 0)
    assert named_jobs(caplog) == [str(refused)]


def test_claim_next_job_skips_many_refused_jobs(steps: Steps, rows: Rows) -> None:
    rows.all("INSERT INTO coding_jobs (priority) SELECT 9 FROM generate_series(1, 3000)")
    other = rows.add_job()
    rows.all(CHECKED)

    began = time.monotonic()
    claimed = steps.queue.claim_next_job()

    assert claimed and claimed.job_id == other
    assert time.monotonic() - began < 3


def test_claim_next_job_tries_a_refused_job_once(steps: Steps, rows: Rows) -> None:
    rows.add_job(priority=9)
    other = rows.add_job()
    count_tries(rows)

    claimed = steps.queue.claim_next_job()

    assert claimed and claimed.job_id == other
    assert rows.value(TRIED) == 1


def test_claim_next_job_leaves_its_callers_deferred_constraints_deferred(steps: Steps, rows: Rows) -> None:
    """Deferred constraints of a transaction that continues are still checked at its commit."""
    rows.all("CREATE TABLE kept (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    rows.all(DEFERRED[0])
    jobs = [rows.add_job(), rows.add_job()]

    with rows.connection.transaction():
        rows.all("INSERT INTO kept VALUES (1), (1)")
        assert rows.one("SELECT * FROM claim_next_job()")["job_id"] == jobs[0]
        rows.all("UPDATE kept SET id = 2 WHERE ctid = '(0,1)'")
    with rows.connection.transaction():
        assert rows.one("SELECT * FROM claim_next_job()")["job_id"] == jobs[1]
        rows.all("INSERT INTO kept VALUES (3), (3)")
        rows.all("UPDATE coding_jobs SET priority = 9")
        rows.all("DELETE FROM kept")
        rows.all("DROP FUNCTION refuse CASCADE")
    with rows.connection.transaction():
        rows.all("SET CONSTRAINTS ALL IMMEDIATE")
        rows.all("SELECT * FROM claim_next_job()")
        with pytest.raises(psycopg.errors.UniqueViolation), rows.connection.transaction():
            rows.all("INSERT INTO kept VALUES (4), (4)")


def test_refused_jobs_are_named_though_the_database_suppresses_warnings(
    dsn: str, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.all(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET client_min_messages = 'error'")
    refused = rows.add_job(priority=9)
    rows.all(CHECKED)
    queue = JobQueue.connect(dsn)

    assert queue.claim_next_job() is None
    queue.close()

    assert named_jobs(caplog) == [str(refused)]

"""This version on a database that the previous version migrated: it runs jobs and loses none."""

import logging
from collections.abc import Callable
from importlib import resources
from uuid import UUID

import psycopg
import pytest
from dramatiq.middleware import SkipMessage

from bridge import Job, actor, enqueue
from bridge.postgres.link import Link
from bridge.postgres.migrations import migrate_up
from bridge.postgres.migrations.files import ORIGINAL_FUNCTIONS, private_functions
from bridge.postgres.startup_checks import SCHEMA_VERSION, check_database
from tests.support import legacy
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually


@pytest.fixture
def older(rows: Rows) -> Rows:
    """The database with the schema of the previous version."""
    if rows.value("SELECT mobvibe_schema_version()") != SCHEMA_VERSION - 1:
        rows.all(resources.files("tests.support").joinpath("schema_11.sql").read_text("utf-8"))
    return rows


def test_a_process_starts_on_the_older_schema_with_one_warning(
    older: Rows, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    check_database(dsn)

    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "The database has schema 11, this version is made for 12 and works with it: run mobvibe migrate up"
    ]


def test_open_rights_are_found_on_the_older_schema_too(older: Rows, link: Link) -> None:
    older.all(legacy.NO_ROLES + legacy.ROLES)
    try:
        found = [row["found"] for row in link.call("open_rights")]
    finally:
        older.all(legacy.NO_ROLES)

    assert any(line.startswith("row level security is off on") and "coding_jobs" in line for line in found)


def test_an_upgrade_leaves_no_function_that_this_version_does_not_have(older: Rows, dsn: str) -> None:
    migrate_up(dsn)

    found = older.all("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    expected = {*private_functions(), *ORIGINAL_FUNCTIONS, "mobvibe_database_id"}
    assert {row["proname"] for row in found} == expected


@pytest.fixture
def running(older: Rows, new_fleet: Callable[..., Fleet]) -> Fleet:
    """A bridge and a worker of this version, on the older schema."""
    fleet = new_fleet(lease_ms=1500)

    @actor(queue_name="tests")
    def skip(job: Job) -> None:
        fleet.actor_log.begin(job)
        raise SkipMessage("not today")

    return fleet.start()


def test_jobs_run_and_end_on_the_older_schema(running: Fleet, older: Rows, dsn: str) -> None:
    jobs: dict[UUID, str] = {}
    with psycopg.connect(dsn) as connection:
        jobs[enqueue(connection, "double", {"n": 4}, max_retries=3)] = "completed"
        jobs[enqueue(connection, running.broker.actors["double"], {"n": 4})] = "completed"
        jobs[enqueue(connection, running.broker.actors["skip"])] = "failed"
    jobs[older.add_job(actor="double", queue="tests", payload={"n": 4})] = "completed"
    jobs[older.add_job(actor="give_up", queue="tests")] = "failed"
    retried = older.add_job(actor="explode", queue="tests", max_retries=2)
    stopped = older.add_job(actor="wait_at_gate", queue="tests")
    eventually(lambda: older.job(stopped)["started_at"] is not None)
    older.all("SELECT cancel_job(%s)", [stopped])
    jobs[stopped] = "cancelled"

    eventually(lambda: {job: older.status(job) for job in jobs} == jobs, seconds=20)
    eventually(lambda: older.status(retried) == "failed", seconds=20)

    assert older.outcomes(retried) == ["failed", "failed"]
    assert all(older.outcomes(job) == [status] for job, status in jobs.items())


def test_a_skipped_job_ends_after_one_attempt_with_its_reason(running: Fleet, older: Rows) -> None:
    job = older.add_job(actor="skip", queue="tests")

    eventually(lambda: older.status(job) == "failed")

    assert (running.actor_log.starts(job), older.outcomes(job)) == (1, ["failed"])
    assert "not today" in older.job(job)["error_message"]


def test_events_are_stored_on_the_older_schema(running: Fleet, older: Rows) -> None:
    session = older.add_session()
    job = older.add_job(actor="narrate", queue="tests", session_id=session, payload={"n": 3})

    eventually(lambda: older.status(job) == "completed")

    stored = "SELECT count(*) FROM session_events WHERE session_id = %s AND event_type = 'thinking'"
    eventually(lambda: older.value(stored, [session]) == 3)


def test_attempts_of_a_lost_worker_are_taken_back_on_the_older_schema(running: Fleet, older: Rows) -> None:
    job = older.add_job(actor="nap", queue="tests", payload={"seconds": 0}, status="processing")
    older.all(
        "UPDATE coding_jobs SET lease_expires_at = now() - interval '1 h', claimed_at = now() - interval '1 h',"
        " claimed_by = 'gone' WHERE id = %s",
        [job],
    )

    eventually(lambda: older.status(job) == "completed", seconds=20)

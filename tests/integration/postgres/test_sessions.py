"""pending → active → completed | failed: a session follows its jobs."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from bridge.errors import PostgresBusyError
from bridge.job import Failed
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


def test_a_session_is_active_while_its_job_runs_and_completed_after(steps: Steps, rows: Rows) -> None:
    session_id = rows.add_session()
    rows.add_job(session_id=session_id)

    held = steps.started()
    active = rows.session(session_id)
    assert (active["status"], active["started_at"] is not None, active["completed_at"]) == ("active", True, None)

    steps.complete(held)
    done = rows.session(session_id)
    assert (done["status"], done["completed_at"] is not None) == ("completed", True)


def test_a_session_completes_with_the_last_of_its_jobs(steps: Steps, rows: Rows) -> None:
    session_id = rows.add_session()
    for _ in range(2):
        rows.add_job(session_id=session_id)
    worker = steps.add_worker()
    first, second = (steps.start(worker, claim) for claim in steps.claim())
    assert first and second

    steps.complete(first)
    assert rows.session(session_id)["status"] == "active"

    steps.complete(second)
    assert rows.session(session_id)["status"] == "completed"


def test_two_last_jobs_ending_at_once_complete_the_session(steps: Steps, rows: Rows, dsn: str) -> None:
    for _ in range(10):
        session_id = rows.add_session()
        for _ in range(2):
            rows.add_job(session_id=session_id)
        worker = steps.add_worker()
        both = [attempt for claim in steps.claim() if (attempt := steps.start(worker, claim))]
        others = [Steps(dsn, rows) for _ in both]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda pair: pair[0].complete(pair[1]), zip(others, both, strict=True)))
        for other in others:
            other.close()

        assert rows.session(session_id)["status"] == "completed"


def test_a_dead_letter_fails_the_session_and_a_retry_does_not(steps: Steps, rows: Rows) -> None:
    session_id = rows.add_session()
    job_id = rows.add_job(session_id=session_id, max_retries=2)
    worker = steps.add_worker()
    steps.fail(steps.started(worker), "first")
    assert rows.session(session_id)["status"] == "active"

    steps.make_due(job_id)
    steps.fail(steps.started(worker), "second")

    session = rows.session(session_id)
    assert (session["status"], session["error_message"]) == ("failed", "second")


def test_a_new_job_reopens_a_finished_session_but_not_an_expired_one(steps: Steps, rows: Rows) -> None:
    finished, expired = rows.add_session(status="completed"), rows.add_session(status="expired")
    for session_id in (finished, expired):
        rows.add_job(session_id=session_id)
    worker = steps.add_worker()
    for claim in steps.claim():
        steps.start(worker, claim)

    assert rows.session(finished)["status"] == "active"
    assert rows.session(expired)["status"] == "expired"


def test_deleting_a_session_deletes_its_jobs_attempts_and_events(steps: Steps, rows: Rows) -> None:
    session_id = rows.add_session()
    job_id = rows.add_job(session_id=session_id)
    worker = steps.add_worker()
    steps.release(steps.started(worker))
    held = steps.started(worker)
    rows.all("INSERT INTO session_events (session_id, event_type) VALUES (%s, 'terminal')", [session_id])

    rows.all("DELETE FROM coding_sessions WHERE id = %s", [session_id])

    for table in ("coding_jobs", "job_attempts", "session_events"):
        assert rows.value(f"SELECT count(*) FROM {table}") == 0, table
    assert not steps.complete(held)
    assert steps.heartbeat(worker, held) != {}
    assert job_id == held.job_id


def test_a_job_may_name_a_session_that_does_not_exist(steps: Steps, rows: Rows) -> None:
    rows.all("INSERT INTO coding_jobs (session_id, prompt) VALUES (gen_random_uuid(), 'hello')")

    assert steps.complete(steps.started())


def test_triggers_of_the_host_find_their_own_tables(steps: Steps, rows: Rows) -> None:
    # A host's trigger is written for the usual search_path, and our functions run with an empty one.
    rows.all("""
        CREATE TABLE usage_log (session_id uuid, status text);
        CREATE FUNCTION count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO usage_log VALUES (NEW.id, NEW.status); RETURN NEW; END $$;
        CREATE TRIGGER count_usage AFTER UPDATE ON coding_sessions FOR EACH ROW EXECUTE FUNCTION count_usage();
    """)
    session_id = rows.add_session()
    rows.add_job(session_id=session_id)

    steps.complete(steps.started())

    assert [row["status"] for row in rows.all("SELECT status FROM usage_log")] == ["active", "completed"]


def test_a_report_does_not_wait_for_an_insert_into_its_session(steps: Steps, rows: Rows, dsn: str) -> None:
    session_id = rows.add_session()
    rows.add_job(session_id=session_id)
    held = steps.started()
    with psycopg.connect(dsn) as somebody:
        # This is what a foreign key does, and databases of the Node worker have one.
        somebody.execute("SELECT FROM coding_sessions WHERE id = %s FOR KEY SHARE", [session_id])
        assert steps.complete(held)


def test_the_end_of_a_job_waits_for_its_locked_session(steps: Steps, rows: Rows, dsn: str) -> None:
    session_id = rows.add_session()
    job_id = rows.add_job(session_id=session_id, max_retries=1)
    held = steps.started()
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session_id])
        with pytest.raises(PostgresBusyError), steps.book.in_haste():
            steps.book.fail([(held, Failed("no"))])
        assert rows.status(job_id) == "processing"

    steps.fail(held, "no")

    assert (rows.status(job_id), rows.session(session_id)["status"]) == ("failed", "failed")


def test_a_deadlock_of_a_report_and_a_deletion_ends_with_one_of_them(steps: Steps, rows: Rows, dsn: str) -> None:
    session_id = rows.add_session()
    job_id = rows.add_job(session_id=session_id)
    held = steps.started()
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s"
    with psycopg.connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session_id])
        report = pool.submit(steps.complete, held)
        eventually(lambda: rows.value(waits, [steps.link.connection.info.backend_pid]) == 1, what="the report to wait")
        try:
            other.execute("DELETE FROM coding_jobs WHERE id = %s", [job_id])
            other.commit()
            deleted = True
        except psycopg.errors.DeadlockDetected:
            other.rollback()
            deleted = False
        try:
            completed = report.result(10)
        except PostgresBusyError:  # the report is repeated
            completed = steps.complete(held)

    assert completed is not deleted
    assert rows.all("SELECT status FROM coding_jobs") == ([] if deleted else [{"status": "completed"}])

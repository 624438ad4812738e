"""Reports of a worker process while another transaction holds a lock."""

import psycopg
import pytest

from bridge.job import Completed
from bridge.postgres.attempts import Attempts, Event
from bridge.postgres.link import Link
from bridge.worker.ending import Ending
from bridge.worker.reports import Reports
from bridge.worker.runs import Runs
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


@pytest.fixture
def reports(dsn: str) -> Reports:
    return Reports(Attempts(Link(dsn, "reports")), Runs(), lambda _: None)


def test_reports_that_meet_a_lock_delay_the_others_only_briefly(
    steps: Steps, rows: Rows, dsn: str, reports: Reports
) -> None:
    session_id = rows.add_session()
    locked = [rows.add_job(session_id=session_id) for _ in range(100)]
    free = rows.add_job()
    worker = steps.add_worker(slots=200)
    for claim in steps.claim(200):
        held = steps.start(worker, claim)
        assert held
        reports.submit(Ending(held, Completed(None)))

    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session_id])
        reports.open()
        eventually(lambda: rows.status(free) == "completed", seconds=6, what="a report that meets no lock")
        assert {rows.status(job_id) for job_id in locked} == {"processing"}

    eventually(lambda: {rows.status(job_id) for job_id in locked} == {"completed"})
    assert reports.close(5) == 0


def test_an_event_that_meets_a_lock_is_stored_before_its_attempt_ends(
    steps: Steps, rows: Rows, dsn: str, reports: Reports
) -> None:
    job_id, other = rows.add_job(session_id=rows.add_session()), rows.add_job()
    worker = steps.add_worker()
    held, others = (steps.start(worker, claim) for claim in steps.claim())
    assert held
    assert others
    reports.submit(Event(held, "thinking", "{}"))
    reports.submit(Ending(held, Completed(None)))
    reports.submit(Ending(others, Completed(None)))

    with psycopg.connect(dsn) as somebody:
        somebody.execute("LOCK TABLE session_events IN SHARE MODE")
        reports.open()
        eventually(lambda: rows.status(other) == "completed")
        assert rows.status(job_id) == "processing"

    eventually(lambda: rows.status(job_id) == "completed")
    assert rows.value("SELECT count(*) FROM session_events") == 1
    assert reports.close(5) == 0

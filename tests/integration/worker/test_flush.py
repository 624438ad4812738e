"""`job.flush()` returns when the events are stored, and says when they are not."""

import time
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge import Job, actor
from bridge.errors import BridgeError, NotOursError, PostgresUnavailableError
from bridge.postgres.attempts import AttemptKey, Attempts, Event
from bridge.postgres.link import Link
from bridge.worker.flush import Flush
from bridge.worker.reports import Reports
from bridge.worker.runs import Runs
from tests.support.fleet import Add, NewFleet, finished
from tests.support.proxy import Proxy
from tests.support.rows import Rows
from tests.support.steps import Steps


def reports_of(dsn: str) -> Reports:
    reports = Reports(Attempts(Link(dsn, "reports")), Runs(), lambda _: None)
    reports.open()
    return reports


def flush(reports: Reports, held: AttemptKey, seconds: float = 10) -> None:
    one = Flush(held)
    reports.submit(one)
    one.wait(seconds)


def test_the_events_of_a_job_are_stored_when_its_flush_returns(new_fleet: NewFleet, rows: Rows, add: Add) -> None:
    fleet, counts = new_fleet(), list[int]()

    @actor(queue_name="tests")
    def tell(job: Job) -> None:
        for part in range(3):
            for n in range(200):
                job.emit("thinking", {"n": n + 200 * part})
            job.flush()
            counts.append(rows.value("SELECT count(*) FROM session_events"))

    fleet.start()
    job_id = add("tell", session_id=rows.add_session())

    assert finished(rows, job_id)["status"] == "completed"
    assert counts == [200, 400, 600]


def test_a_job_without_a_session_flushes_too(new_fleet: NewFleet, rows: Rows, add: Add) -> None:
    fleet = new_fleet()

    @actor(queue_name="tests")
    def tell(job: Job) -> str:
        job.flush(5)
        return "flushed"

    fleet.start()

    assert finished(rows, add("tell"))["result"] == "flushed"


def test_an_attempt_that_was_replaced_learns_it(new_fleet: NewFleet, rows: Rows, add: Add) -> None:
    fleet, raised = new_fleet(), list[BaseException]()

    @actor(queue_name="tests")
    def tell(job: Job) -> None:
        if job.fence == 1:
            rows.all("UPDATE coding_jobs SET fence = fence + 1 WHERE id = %s", [job.id])
        job.emit("thinking", {})
        try:
            job.flush()
        except NotOursError as error:
            raised.append(error)
            raise

    fleet.start()
    job_id = add("tell", session_id=rows.add_session())
    deadline = time.monotonic() + 10
    while not raised and time.monotonic() < deadline:
        time.sleep(0.02)

    assert "not the job's current one" in str(raised[0])
    assert rows.outcomes(job_id) == [], "it reports nothing of a job that is not its own"


def test_events_that_meet_a_lock_are_waited_for(steps: Steps, rows: Rows, dsn: str) -> None:
    rows.add_job(session_id=rows.add_session())
    held, reports = steps.started(), reports_of(dsn)

    with psycopg.connect(dsn) as somebody:
        somebody.execute("LOCK TABLE session_events IN SHARE MODE")
        reports.submit(Event(held, "thinking", "{}"))
        with pytest.raises(PostgresUnavailableError, match="not stored after 0.5 s"):
            flush(reports, held, 0.5)

    flush(reports, held)
    assert rows.value("SELECT count(*) FROM session_events") == 1
    reports.close(5)


def test_a_store_that_is_away_ends_the_wait_in_time(steps: Steps, rows: Rows, proxy: Proxy, by_proxy: str) -> None:
    rows.add_job()
    held, reports = steps.started(), reports_of(by_proxy)
    flush(reports, held)
    dead = proxy.go_dead()

    began = time.monotonic()
    with pytest.raises(PostgresUnavailableError, match="Postgres does not take them"):
        flush(reports, held, 1)

    assert time.monotonic() - began < 2
    assert dead
    reports.close(0)


def test_a_refused_question_is_answered_with_the_refusal(dsn: str, steps: Steps, rows: Rows) -> None:
    """A flush that cannot be asked at all must not wait for its timeout."""

    class Refusing(Attempts):
        def still_held(self, keys: Any) -> set[UUID]:
            raise BridgeError("no such question")

    reports = Reports(Refusing(Link(dsn, "reports")), Runs(), lambda _: None)
    reports.open()

    with pytest.raises(BridgeError, match="no such question"):
        flush(reports, AttemptKey(uuid4(), 1, uuid4()))
    reports.close(5)

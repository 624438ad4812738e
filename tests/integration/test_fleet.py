"""The whole road: a row, the bridge, Redis, an actor, the report."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import dramatiq
import psycopg
import pytest
import redis
from dramatiq.middleware import TimeLimitExceeded

from bridge import Job, actor, enqueue
from bridge.job import Claim
from bridge.transport.messages import seal
from bridge.worker.middleware import JobMiddleware
from bridge.worker.process import WorkerProcess
from tests.support.fleet import Fleet
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually

Add = Callable[..., UUID]
NewFleet = Callable[..., Fleet]


@pytest.fixture
def add(dsn: str, rows: Rows) -> Add:
    def add(actor: str, payload: dict[str, Any] | None = None, **columns: Any) -> UUID:
        return rows.add_job(actor=actor, queue=columns.pop("queue", "tests"), payload=payload or {}, **columns)

    return add


def finished(rows: Rows, *job_ids: UUID, seconds: float = 15) -> dict[str, Any]:
    """Wait for jobs to end; the last one's row."""
    eventually(
        lambda: all(rows.status(job_id) in ("completed", "failed", "cancelled") for job_id in job_ids),
        seconds=seconds,
        what="the end of the jobs",
    )
    return rows.job(job_ids[-1])


def process_of(fleet: Fleet) -> WorkerProcess:
    (job_middleware,) = [one for one in fleet.broker.middleware if isinstance(one, JobMiddleware)]
    return job_middleware.process


def test_a_committed_job_runs_and_its_result_is_stored(fleet: Fleet, rows: Rows, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        job_id = enqueue(connection, "double", {"n": 21})

    job = finished(rows, job_id)

    assert (job["status"], job["result"], job["queue"]) == ("completed", {"twice": 42}, "tests")
    assert rows.outcomes(job_id) == ["completed"]
    check_invariants(rows)


def test_a_rolled_back_job_never_runs(fleet: Fleet, rows: Rows, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        gone = enqueue(connection, "double", {"n": 1})
        connection.rollback()
        job_id = enqueue(connection, "double", {"n": 2})

    finished(rows, job_id)

    assert fleet.doings.starts(gone) == 0


def test_an_async_actor_knows_its_job(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("double_later", {"n": 4})

    assert finished(rows, job_id)["result"] == {"twice": 8, "current": str(job_id)}


def test_an_exception_is_a_failed_attempt_and_the_job_runs_again(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("explode", max_retries=2)

    job = finished(rows, job_id)

    assert (job["status"], job["retry_count"], job["error_message"]) == ("failed", 2, "ValueError: attempt 2")
    assert [attempt["error"] for attempt in rows.attempts(job_id)] == ["ValueError: attempt 1", "ValueError: attempt 2"]
    check_invariants(rows)


def test_the_log_shows_an_exception_from_the_actor_on(
    fleet: Fleet, rows: Rows, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    finished(rows, add("explode", max_retries=1))

    (told,) = eventually(lambda: [record for record in caplog.records if record.getMessage() == "Job failed"])
    assert told.exc_info
    assert told.exc_info[2]
    assert told.exc_info[2].tb_frame.f_code.co_name == "explode"


def test_fail_is_final(fleet: Fleet, rows: Rows, add: Add) -> None:
    job = finished(rows, add("give_up", max_retries=10))

    assert (job["status"], job["retry_count"], job["error_message"]) == ("failed", 1, "there is no point")


def test_retry_chooses_the_wait(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("try_later")

    eventually(lambda: rows.job(job_id)["retry_count"] == 1)

    waits = rows.value("SELECT extract(epoch FROM run_at - now()) FROM coding_jobs WHERE id = %s", [job_id])
    assert 3500 < waits <= 3600


def test_a_result_that_is_no_json_is_a_failure_that_says_so(fleet: Fleet, rows: Rows, add: Add) -> None:
    job = finished(rows, add("no_json", max_retries=1))

    assert job["error_message"].startswith("the result cannot be stored as JSON")


def test_events_come_in_order_and_before_the_end(fleet: Fleet, rows: Rows, add: Add) -> None:
    session_id = rows.add_session()
    job_id = add("narrate", {"n": 300}, session_id=session_id)

    finished(rows, job_id)

    events = rows.all("SELECT data FROM session_events WHERE session_id = %s ORDER BY seq", [session_id])
    assert [event["data"]["n"] for event in events] == list(range(300))
    assert rows.session(session_id)["status"] == "completed"


def test_existing_dramatiq_actors_are_called_unchanged(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("plain", {"args": [1, "two"], "kwargs": {"three": 3}}, queue="default")

    assert finished(rows, job_id)["result"] == 2
    assert fleet.doings.plain == [((1, "two"), {"three": 3})]


def test_errors_an_existing_actor_expects_are_final(fleet: Fleet, rows: Rows, add: Add) -> None:
    job = finished(rows, add("plain", {"kwargs": {"missing": True}}, queue="default", max_retries=5))

    assert (job["status"], job["retry_count"]) == ("failed", 1)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"args": 5}, "bad payload: 'args' must be a list"),
        ({"kwargs": []}, "bad payload: 'kwargs' must be an object"),
        ({"n": 1}, "bad payload: a plain actor takes 'args' and 'kwargs' only, not n"),
    ],
)
def test_a_broken_payload_fails_its_job_and_nobody_else(
    fleet: Fleet, rows: Rows, add: Add, payload: dict[str, Any], message: str
) -> None:
    job_id = add("plain", payload, queue="default")
    neighbour = add("plain", queue="default")

    finished(rows, neighbour, job_id)

    job = rows.job(job_id)
    assert (job["status"], job["error_message"]) == ("failed", message)
    assert rows.job(neighbour)["status"] == "completed"


def test_a_payload_that_is_no_object_fails_its_job(fleet: Fleet, rows: Rows) -> None:
    job_id = rows.value(
        "INSERT INTO coding_jobs (actor, queue, payload) VALUES ('plain', 'default', '[1]') RETURNING id"
    )

    assert finished(rows, job_id)["error_message"] == "bad payload: it must be an object"


@pytest.mark.parametrize("payload", ['{"n": 1e5000}', "[" * 3000 + "]" * 3000], ids=["digits", "depth"])
def test_a_payload_that_python_cannot_read_fails_its_job_and_nobody_else(
    new_fleet: NewFleet, rows: Rows, add: Add, payload: str
) -> None:
    bad = rows.value(
        "INSERT INTO coding_jobs (actor, queue, payload) VALUES ('double', 'tests', %s::jsonb) RETURNING id", [payload]
    )
    neighbours = [add("double", {"n": n}) for n in range(3)]
    new_fleet().start()

    finished(rows, bad, *neighbours)

    status, retries, error = rows.connection.execute(
        "SELECT status, retry_count, error_message FROM coding_jobs WHERE id = %s", [bad]
    ).fetchone() or (None, None, "")
    assert (status, retries) == ("failed", 1)
    assert error.startswith("the payload cannot be read: ")
    assert [rows.outcomes(job_id) for job_id in (bad, *neighbours)] == [["failed"], *[["completed"]] * 3]


def test_a_start_that_the_database_refuses_is_a_failed_attempt(new_fleet: NewFleet, rows: Rows, add: Add) -> None:
    rows.all(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'the plan ran out'; END $$"
    )
    rows.all(
        "CREATE TRIGGER refuse BEFORE UPDATE ON coding_sessions FOR EACH ROW"
        " WHEN (NEW.status = 'active') EXECUTE FUNCTION refuse()"
    )
    session_id = rows.add_session()
    job_id = add("double", {"n": 1}, session_id=session_id, max_retries=2)
    neighbour = add("double", {"n": 2})
    fleet = new_fleet().start()

    job = finished(rows, neighbour, job_id)

    assert (job["status"], job["retry_count"]) == ("failed", 2)
    assert job["error_message"] == "the database refused its start: the plan ran out"
    assert rows.outcomes(job_id) == ["failed", "failed"]
    assert rows.session(session_id)["status"] == "failed"
    assert fleet.doings.starts(job_id) == 0
    check_invariants(rows)


def test_a_time_limit_ends_an_attempt(fleet: Fleet, rows: Rows, add: Add) -> None:
    job = finished(rows, add("too_slow", max_retries=1))

    assert (job["status"], job["error_message"]) == ("failed", "the time limit was exceeded")


def test_many_jobs_all_run_once(fleet: Fleet, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (actor, queue, payload)"
        " SELECT 'double', 'tests', jsonb_build_object('n', i) FROM generate_series(1, 500) i"
    )

    eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status <> 'completed'") == 0, seconds=30)

    assert len(fleet.doings.started) == 500
    check_invariants(rows)


def test_a_running_job_is_cancelled_in_its_thread(quick_fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id, later = add("wait_at_gate"), add("wait_forever")
    eventually(lambda: len(quick_fleet.doings.started) == 2)

    for each in (job_id, later):
        rows.all("SELECT cancel_job(%s)", [each])

    assert finished(rows, job_id, later)["status"] == "cancelled"
    assert rows.outcomes(job_id) == rows.outcomes(later) == ["cancelled"]
    assert sorted(quick_fleet.doings.interrupted) == ["CancelledError", "JobCancelledError"]
    check_invariants(rows)


def test_a_cancel_reaches_its_worker_long_before_the_next_heartbeat(fleet: Fleet, rows: Rows, add: Add) -> None:
    jobs = [add("wait_at_gate"), add("wait_forever"), add("poll_politely")]
    eventually(lambda: len(fleet.doings.started) == 3)
    heartbeat = rows.value("SELECT heartbeat_at FROM workers")
    eventually(lambda: rows.value("SELECT heartbeat_at FROM workers") > heartbeat, what="the heartbeat before")

    began = time.monotonic()
    for job_id in jobs:
        rows.all("SELECT cancel_job(%s)", [job_id])
    finished(rows, *jobs, seconds=3)

    assert time.monotonic() - began < 3, "heartbeats come every five seconds"
    assert all(rows.outcomes(job_id) == ["cancelled"] for job_id in jobs)
    assert sorted(fleet.doings.interrupted) == ["CancelledError", "JobCancelledError", "politely"]
    check_invariants(rows)


class AtTheEnd(logging.Filter):
    """Does something where Dramatiq deals with an actor's exception, in the actor's thread."""

    def __init__(self, do: Callable[[], None]) -> None:
        super().__init__()
        self._do = do

    def filter(self, record: logging.LogRecord) -> bool:
        if "unhandled exception" in str(record.msg):
            self._do()
        return True

    def __enter__(self) -> None:
        logging.getLogger("dramatiq.worker.WorkerThread").addFilter(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("dramatiq.worker.WorkerThread").removeFilter(self)


def test_an_interrupt_that_comes_after_the_actor_raised_leaves_its_thread_alone(
    quick_fleet: Fleet, rows: Rows, add: Add
) -> None:
    runs = process_of(quick_fleet).runs
    reached = threading.Event()

    def linger() -> None:
        (run,) = runs.all()
        reached.set()
        eventually(lambda: run.is_cancelled)
        runs.all()  # whoever interrupts has the lock until it is done

    with AtTheEnd(linger):
        job_id = add("explode")
        assert reached.wait(10)
        rows.all("SELECT cancel_job(%s)", [job_id])

        assert finished(rows, job_id)["status"] == "cancelled"

    assert all(thread.is_alive() for thread in quick_fleet.workers[0].workers)
    eventually(lambda: runs.all() == [], what="the report's answer")  # the row says it a moment before


def test_a_time_limit_that_falls_due_after_the_actor_raised_ends_no_thread(fleet: Fleet, rows: Rows, add: Add) -> None:
    def fall_due() -> None:
        raise TimeLimitExceeded

    with AtTheEnd(fall_due):
        job = finished(rows, add("explode", max_retries=1))

    assert (job["status"], job["error_message"]) == ("failed", "ValueError: attempt 1")
    assert all(thread.is_alive() for thread in fleet.workers[0].workers)
    eventually(lambda: process_of(fleet).runs.all() == [], what="the report's answer")


def test_an_actor_that_has_called_another_one_can_still_be_interrupted(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("call_another", {"n": 4})
    eventually(lambda: fleet.doings.starts(job_id) == 2, what="the call to be over")

    rows.all("SELECT cancel_job(%s)", [job_id])

    assert finished(rows, job_id)["status"] == "cancelled"


def test_a_worker_that_was_declared_lost_stops_and_starts_over(quick_fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("wait_at_gate")
    eventually(lambda: quick_fleet.doings.starts(job_id) == 1)

    rows.all("UPDATE workers SET stopped_at = now(), stop_reason = 'lost' WHERE stopped_at IS NULL")
    eventually(lambda: quick_fleet.doings.interrupted == ["LeaseLostError"])
    quick_fleet.doings.gates["gate"].set()

    job = finished(rows, job_id)
    assert (job["status"], job["result"]) == ("completed", {"fence": 2})
    assert rows.outcomes(job_id) == ["crashed", "completed"]
    assert rows.value("SELECT count(*) FROM workers WHERE stopped_at IS NULL") == 1
    check_invariants(rows)


def test_a_run_whose_attempt_was_handed_back_stops(quick_fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("wait_at_gate")
    eventually(lambda: quick_fleet.doings.starts(job_id) == 1)
    process = process_of(quick_fleet)
    (run,) = process.runs.all()

    process.reports.give_back(run.key)

    eventually(lambda: quick_fleet.doings.interrupted == ["LeaseLostError"])
    quick_fleet.doings.gates["gate"].set()
    assert finished(rows, job_id)["result"] == {"fence": 2}
    assert rows.outcomes(job_id) == ["released", "completed"]


def test_a_row_deleted_under_a_running_job_stops_it(quick_fleet: Fleet, rows: Rows, add: Add) -> None:
    session_id = rows.add_session()
    job_id = add("wait_at_gate", session_id=session_id)
    eventually(lambda: quick_fleet.doings.starts(job_id) == 1)

    rows.all("DELETE FROM coding_sessions WHERE id = %s", [session_id])

    eventually(lambda: quick_fleet.doings.interrupted == ["LeaseLostError"])
    assert rows.all("SELECT FROM coding_jobs") == []


def test_a_stopping_worker_hands_back_what_does_not_end_in_time(new_fleet: NewFleet, rows: Rows, add: Add) -> None:
    hasty = new_fleet(shutdown_timeout_ms=100)
    hasty.start_worker(threads=1)
    hasty.start_bridge()
    running, waiting = add("wait_at_gate"), add("wait_at_gate")
    eventually(lambda: hasty.doings.starts(running) == 1)

    hasty.workers[0].stop()

    for job_id in (running, waiting):
        job = rows.job(job_id)
        assert (job["status"], job["retry_count"]) == ("pending", 0), job_id
    assert hasty.doings.interrupted == ["WorkerStoppingError"]
    assert rows.outcomes(running) == ["released"]
    assert rows.value("SELECT stop_reason FROM workers ORDER BY started_at DESC LIMIT 1") == "stopped"
    check_invariants(rows)


def test_a_stopping_worker_lets_a_job_end_that_can(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("wait_at_gate")
    eventually(lambda: fleet.doings.starts(job_id) == 1)
    worker = fleet.workers[0]
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    eventually(lambda: fleet.broker.draining)

    fleet.doings.gates["gate"].set()

    stopping.join(10)
    assert rows.job(job_id)["status"] == "completed"


def test_losing_everything_in_redis_loses_no_job(new_fleet: NewFleet, rows: Rows, add: Add, redis_url: str) -> None:
    quick = new_fleet(lease_ms=1500)
    quick.start_worker()
    job_ids = [add("double", {"n": n}) for n in range(4)]
    client = redis.Redis.from_url(redis_url)
    quick.broker.draining = True  # nobody takes what the bridge hands over
    quick.start_bridge()
    eventually(lambda: client.llen("mobvibe:tests") == 4)

    client.flushdb()
    quick.broker.draining = False

    finished(rows, *job_ids)
    assert {rows.job(job_id)["retry_count"] for job_id in job_ids} == {0}
    assert all(quick.doings.starts(job_id) == 1 for job_id in job_ids)
    check_invariants(rows)


def test_a_message_delivered_many_times_runs_once(fleet: Fleet, rows: Rows, add: Add, redis_url: str) -> None:
    job_id = add("wait_at_gate")
    eventually(lambda: fleet.doings.starts(job_id) == 1)
    client = redis.Redis.from_url(redis_url)
    name, payload = seal([Claim(job_id, 1, "tests", "wait_at_gate")])
    for _ in range(5):
        client.hset("mobvibe:tests.msgs", name, payload)
        client.rpush("mobvibe:tests", name)
    eventually(lambda: client.llen("mobvibe:tests") == 0)

    fleet.doings.gates["gate"].set()

    finished(rows, job_id)
    marker = add("double", {"n": 1})
    finished(rows, marker)
    assert fleet.doings.starts(job_id) == 1
    assert rows.outcomes(job_id) == ["completed"]


def test_forged_messages_run_nothing_and_hurt_nobody(fleet: Fleet, rows: Rows, add: Add, redis_url: str) -> None:
    rows.all("UPDATE workers SET slots = slots")  # a live worker is there
    pending = rows.add_job(actor="double", queue="tests", run_at="2999-01-01")
    client = redis.Redis.from_url(redis_url)
    forged: dict[str, str | bytes] = {
        **dict([seal([Claim(pending, 1, "tests", "double")]), seal([Claim(pending, 7, "tests", "give_up")])]),
        "junk": b"\x80\x04junk",
        "plain": dramatiq.Message("tests", "plain", ("x",), {}, {"redis_message_id": "plain"}).encode(),
    }
    for name, payload in forged.items():
        client.hset("mobvibe:tests.msgs", name, payload)
        client.rpush("mobvibe:tests", name)

    real = add("double", {"n": 3})

    assert finished(rows, real)["result"] == {"twice": 6}
    eventually(lambda: client.hlen("mobvibe:tests.msgs") == 2, what="all of ours to be done with")
    job = rows.job(pending)
    assert (job["status"], job["fence"], job["exec"]) == ("pending", 0, None)
    assert fleet.doings.plain == []
    assert client.lrange("mobvibe:tests", 0, -1) == [b"junk", b"plain"], "somebody else's, and left alone"
    assert client.hgetall("mobvibe:tests.msgs") == {b"junk": forged["junk"], b"plain": forged["plain"]}
    assert not client.exists("mobvibe:tests.XQ")


def test_an_actor_unknown_to_everybody_waits_and_runs_once_somebody_knows_it(
    fleet: Fleet, rows: Rows, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = add("not_written_yet")
    eventually(lambda: "no live worker knows their actor" in caplog.text, seconds=15)
    assert (rows.job(job_id)["status"], rows.job(job_id)["fence"]) == ("pending", 0)

    rows.all("UPDATE coding_jobs SET actor = 'double', payload = '{\"n\": 1}' WHERE id = %s", [job_id])
    rows.all("NOTIFY new_job")

    assert finished(rows, job_id)["status"] == "completed"


def test_a_scheduled_job_starts_on_time(fleet: Fleet, rows: Rows) -> None:
    job_id = rows.value(
        "INSERT INTO coding_jobs (actor, queue, payload, run_at)"
        " VALUES ('double', 'tests', '{\"n\": 1}', clock_timestamp() + interval '700 ms') RETURNING id"
    )

    finished(rows, job_id)

    late = rows.value("SELECT extract(epoch FROM started_at - run_at) FROM coding_jobs WHERE id = %s", [job_id])
    assert 0 <= late < 2


def test_every_link_to_postgres_may_break(fleet: Fleet, rows: Rows, add: Add) -> None:
    for round_ in range(5):
        job_ids = [add("double", {"n": n}) for n in range(20)]
        rows.all(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'mobvibe %%' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        finished(rows, *job_ids, seconds=45)
        assert {rows.job(job_id)["status"] for job_id in job_ids} == {"completed"}, round_
    check_invariants(rows)


def test_an_actor_that_is_declared_while_the_worker_runs_gets_its_jobs(fleet: Fleet, rows: Rows, add: Add) -> None:
    finished(rows, add("double", {"n": 1}))

    @actor(queue_name="late")
    def latecomer(job: Job) -> str:
        return "better than never"

    job_id = rows.add_job(actor="latecomer", queue="late", payload={})

    finished(rows, job_id)
    assert rows.job(job_id)["result"] == "better than never"
    assert rows.value("SELECT queues FROM workers") == ["default", "late", "tests"]
    assert rows.value("SELECT actor_options -> 'latecomer' FROM workers") == {"queue": "late", "max_retries": 3}

"""What an actor gets from its message, and how its end decides the job's outcome."""

from typing import Any

import pytest

from tests.support.fleet import Add, Fleet, NewFleet, finished
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_an_async_actor_knows_its_job(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("double_later", {"n": 4})

    assert finished(rows, job_id)["result"] == {"twice": 8, "current": str(job_id)}


@pytest.mark.steady_redis
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

    (record,) = eventually(lambda: [record for record in caplog.records if record.getMessage() == "Job failed"])
    assert record.exc_info
    assert record.exc_info[2]
    assert record.exc_info[2].tb_frame.f_code.co_name == "explode"


def test_fail_is_final(fleet: Fleet, rows: Rows, add: Add) -> None:
    job = finished(rows, add("give_up", max_retries=10))

    assert (job["status"], job["retry_count"], job["error_message"]) == ("failed", 1, "there is no point")


def test_retry_chooses_the_wait(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("try_later")

    eventually(lambda: rows.job(job_id)["retry_count"] == 1)

    waits = rows.value("SELECT extract(epoch FROM run_at - now()) FROM coding_jobs WHERE id = %s", [job_id])
    assert 3500 < waits <= 3600


def test_a_result_that_is_not_json_is_a_failure_with_that_reason(fleet: Fleet, rows: Rows, add: Add) -> None:
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
    assert fleet.actor_log.plain == [((1, "two"), {"three": 3})]


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
def test_a_payload_that_is_not_a_call_fails_only_its_job(
    fleet: Fleet, rows: Rows, add: Add, payload: dict[str, Any], message: str
) -> None:
    job_id = add("plain", payload, queue="default")
    neighbour = add("plain", queue="default")

    finished(rows, neighbour, job_id)

    job = rows.job(job_id)
    assert (job["status"], job["error_message"]) == ("failed", message)
    assert rows.job(neighbour)["status"] == "completed"


def test_a_payload_that_is_not_an_object_fails_its_job(fleet: Fleet, rows: Rows) -> None:
    job_id = rows.value(
        "INSERT INTO coding_jobs (actor, queue, payload) VALUES ('plain', 'default', '[1]') RETURNING id"
    )

    assert finished(rows, job_id)["error_message"] == "bad payload: it must be an object"


@pytest.mark.parametrize("payload", ['{"n": 1e5000}', "[" * 3000 + "]" * 3000], ids=["digits", "depth"])
def test_a_payload_that_python_cannot_read_fails_only_its_job(
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
        "CREATE TRIGGER refuse BEFORE UPDATE ON coding_jobs FOR EACH ROW"
        " WHEN (OLD.exec IS NULL AND NEW.exec IS NOT NULL AND NEW.session_id IS NOT NULL) EXECUTE FUNCTION refuse()"
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
    assert fleet.actor_log.starts(job_id) == 0
    check_invariants(rows)


def test_a_time_limit_ends_an_attempt(fleet: Fleet, rows: Rows, add: Add) -> None:
    job = finished(rows, add("too_slow", max_retries=1))

    assert (job["status"], job["error_message"]) == ("failed", "the time limit was exceeded")

"""enqueue(): in the caller's transaction, with the actor's own queue and attempts."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
import pytest

from bridge import enqueue
from bridge.errors import PayloadError
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_a_commit_makes_the_job(connection: "psycopg.Connection[Any]", rows: Rows) -> None:
    session_id = rows.add_session()
    run_at = datetime.now(UTC) + timedelta(hours=1)

    job_id = enqueue(
        connection,
        "build_report",
        {"rows": 7},
        session_id=session_id,
        prompt="p",
        priority=5,
        run_at=run_at,
        max_retries=9,
    )
    assert rows.all("SELECT FROM coding_jobs") == []
    connection.commit()

    job = rows.job(job_id)
    assert (job["actor"], job["payload"], job["session_id"], job["prompt"]) == (
        "build_report",
        {"rows": 7},
        session_id,
        "p",
    )
    assert (job["priority"], job["run_at"], job["max_retries"], job["status"]) == (5, run_at, 9, "pending")


def test_a_rollback_takes_the_job_with_it(connection: "psycopg.Connection[Any]", rows: Rows) -> None:
    enqueue(connection, "build_report", {"rows": 7})
    connection.rollback()

    assert rows.all("SELECT FROM coding_jobs") == []


def test_the_callers_transaction_and_row_factory_stay_as_they_are(connection: "psycopg.Connection[Any]") -> None:
    with connection.transaction():
        enqueue(connection, "build_report")
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.info.transaction_status.name == "INTRANS"


def test_an_actor_given_by_name_sets_its_queue_and_retries(
    connection: "psycopg.Connection[Any]", rows: Rows, steps: Steps
) -> None:
    steps.add_worker(actors={"build_report": {"queue": "reports", "max_retries": 5}})

    job_id = enqueue(connection, "build_report")
    connection.commit()

    job = rows.job(job_id)
    assert (job["queue"], job["max_retries"]) == ("reports", 5)


@pytest.mark.parametrize("first", ["build_report", "nobody"])
def test_explicit_three_attempts_apply_to_that_job_only(
    connection: "psycopg.Connection[Any]", rows: Rows, steps: Steps, first: str
) -> None:
    steps.add_worker(actors={"build_report": {"queue": "reports", "max_retries": 5}})

    enqueue(connection, first, max_retries=3)
    connection.execute("INSERT INTO coding_jobs (actor) SELECT 'build_report' FROM generate_series(1, 2)")
    connection.commit()

    assert [job["max_retries"] for job in rows.all("SELECT max_retries FROM coding_jobs ORDER BY seq")] == [3, 5, 5]


def test_explicit_three_attempts_do_not_apply_later_when_no_row_was_inserted(
    connection: "psycopg.Connection[Any]", rows: Rows, steps: Steps
) -> None:
    steps.add_worker(actors={"build_report": {"queue": "reports", "max_retries": 5}})
    rows.all("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER a_host BEFORE INSERT ON coding_jobs
            FOR EACH ROW WHEN (NEW.prompt = 'no') EXECUTE FUNCTION refuse();
    """)

    with pytest.raises(AssertionError):
        enqueue(connection, "build_report", prompt="no", max_retries=3)
    connection.execute("INSERT INTO coding_jobs (actor) VALUES ('build_report')")
    connection.commit()

    assert rows.value("SELECT max_retries FROM coding_jobs") == 5


def test_explicit_three_attempts_do_not_apply_to_a_job_that_a_hosts_trigger_inserts(
    connection: "psycopg.Connection[Any]", rows: Rows, steps: Steps
) -> None:
    steps.add_worker(actors={"build_report": {"queue": "reports", "max_retries": 5}})
    rows.all("""
        CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN INSERT INTO coding_jobs (actor) VALUES ('build_report'); RETURN NULL; END $$;
        CREATE TRIGGER host AFTER INSERT ON coding_jobs
            FOR EACH ROW WHEN (NEW.prompt = 'first') EXECUTE FUNCTION follow();
    """)

    enqueue(connection, "build_report", prompt="first", max_retries=3)
    connection.commit()

    assert {job["prompt"]: job["max_retries"] for job in rows.all("SELECT prompt, max_retries FROM coding_jobs")} == {
        "first": 3,
        None: 5,
    }


def test_an_actor_object_sets_its_queue_and_retries(connection: "psycopg.Connection[Any]", rows: Rows) -> None:
    class Report:
        actor_name = "build_report"
        queue_name = "reports"
        options = {"max_retries": 2, "takes_job": True}  # noqa: RUF012 -- as Dramatiq's actors have it

    job_id = enqueue(connection, Report())
    connection.commit()

    job = rows.job(job_id)
    assert (job["actor"], job["queue"], job["max_retries"]) == ("build_report", "reports", 2)


def test_an_unannounced_actor_gets_the_defaults(connection: "psycopg.Connection[Any]", rows: Rows) -> None:
    job_id = enqueue(connection, "build_report")
    connection.commit()

    job = rows.job(job_id)
    assert (job["queue"], job["max_retries"], job["payload"]) == ("coding", 3, {})


@pytest.mark.parametrize("payload", [{"x": object()}, {"x": float("nan")}, {1j: 1}])
def test_a_payload_that_is_not_json_is_refused(connection: "psycopg.Connection[Any]", payload: Any) -> None:
    with pytest.raises(PayloadError, match="the payload cannot be stored as JSON"):
        enqueue(connection, "build_report", payload)


def test_text_that_postgres_refuses_is_made_storable(connection: "psycopg.Connection[Any]", rows: Rows) -> None:
    job_id = enqueue(connection, "x", {"a\x00": ["b\x00", "\ud800", "\\u0000"]}, prompt="nul \x00 lone \udfff")
    connection.commit()

    job = rows.job(job_id)
    assert job["payload"] == {"a�": ["b�", "?", "\\u0000"]}
    assert job["prompt"] == "nul � lone ?"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run_at": datetime(2030, 1, 1)}, "run_at has no time zone"),  # noqa: DTZ001 -- that is the point
        ({"priority": 2**31}, "priority must be"),
        ({"priority": True}, "priority must be"),
        ({"priority": 1.5}, "priority must be"),
        ({"priority": "high"}, "priority must be"),
        ({"priority": None}, "priority must be"),
        ({"max_retries": -1}, "max_retries must be"),
        ({"max_retries": "3"}, "max_retries must be"),
        ({"run_at": "tomorrow"}, "run_at must be a datetime; got str"),
        ({"session_id": "7"}, "session_id must be a UUID"),
        ({"prompt": 7}, "prompt must be text; got int"),
    ],
)
def test_bad_options_are_refused_before_anything_is_sent(
    connection: "psycopg.Connection[Any]", options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        enqueue(connection, "x", {}, **options)

    assert connection.info.transaction_status.name == "IDLE"


def test_anything_but_a_psycopg_connection_is_refused() -> None:
    with pytest.raises(TypeError, match="needs a psycopg.Connection"):
        enqueue(cast("psycopg.Connection[Any]", object()), "x")

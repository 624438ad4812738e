"""A job that names no queue gets its actor's queue and attempts as it is inserted."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dramatiq
import psycopg
import pytest
from dramatiq import Message

from bridge import enqueue
from bridge.postgres.sender import Sender
from tests.support.announcing import announce
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps
from tests.support.waiting import eventually

Places = list[tuple[str, int]]


def places(rows: Rows) -> Places:
    jobs = rows.all("SELECT queue, max_retries FROM coding_jobs ORDER BY seq")
    return [(job["queue"], job["max_retries"]) for job in jobs]


def queue_and_attempts(rows: Rows, **columns: Any) -> tuple[str, int]:
    """The queue and the attempts of a job right after its insert with plain SQL."""
    job = rows.job(rows.add_job(**{"actor": "build_report"} | columns))
    return job["queue"], job["max_retries"]


@pytest.fixture
def other(dsn: str) -> Iterator["psycopg.Connection[Any]"]:
    """A client with an open transaction."""
    with psycopg.connect(dsn, options="-c lock_timeout=2s") as connection:
        yield connection
        connection.rollback()


# At the insert.


@pytest.mark.parametrize(
    "insert",
    [
        "INSERT INTO coding_jobs (actor) VALUES ('build_report'), ('build_report'), ('build_report')",
        "INSERT INTO coding_jobs (actor) SELECT 'build_report' FROM generate_series(1, 3)",
        "INSERT INTO coding_jobs (actor, queue) SELECT 'build_report', 'coding' FROM generate_series(1, 3)",
        "INSERT INTO coding_jobs (actor, run_at) SELECT 'build_report', now() + '1 h' FROM generate_series(1, 3)",
    ],
)
def test_a_row_that_names_no_queue_gets_its_actors_queue(steps: Steps, rows: Rows, insert: str) -> None:
    announce(steps)

    rows.all(insert)

    assert places(rows) == [("reports", 5)] * 3
    assert rows.all("SELECT queue, pending FROM queue_counts()") == [{"queue": "reports", "pending": 3}]


def test_copied_rows_get_their_actors_queue(steps: Steps, rows: Rows) -> None:
    announce(steps)

    with rows.connection.cursor().copy("COPY coding_jobs (actor, payload) FROM STDIN") as copy:
        copy.write("build_report\t{}\nbuild_report\t{}\nnobody\t{}\n")

    assert places(rows) == [("reports", 5), ("reports", 5), ("coding", 3)]


def test_each_row_of_a_statement_gets_its_own_actors_queue(steps: Steps, rows: Rows) -> None:
    announce(steps)
    steps.add_worker(actors={"send_mail": {"queue": "mail", "max_retries": 1}})

    rows.all("INSERT INTO coding_jobs (actor) VALUES ('build_report'), ('nobody'), ('send_mail'), (DEFAULT)")

    assert places(rows) == [("reports", 5), ("coding", 3), ("mail", 1), ("coding", 3)]


def test_two_actors_with_equal_queue_and_attempts_are_kept_apart(steps: Steps, rows: Rows) -> None:
    announce(steps)
    steps.add_worker(actors={"send_mail": {"queue": "reports", "max_retries": 5}})

    assert queue_and_attempts(rows, actor="send_mail") == ("reports", 5)


def test_an_upsert_gets_the_queue_of_the_actor(steps: Steps, rows: Rows) -> None:
    announce(steps)
    job_id = rows.add_job(actor="build_report", queue="elsewhere")

    rows.all(
        "INSERT INTO coding_jobs (id, actor) VALUES (%s, 'build_report')"
        " ON CONFLICT (id) DO UPDATE SET queue = excluded.queue",
        [job_id],
    )

    assert rows.job(job_id)["queue"] == "reports"


def test_a_row_that_names_its_queue_is_left_alone(steps: Steps, rows: Rows) -> None:
    announce(steps)

    assert queue_and_attempts(rows, queue="urgent") == ("urgent", 3)


def test_finished_rows_that_are_loaded_keep_their_queue(steps: Steps, rows: Rows) -> None:
    announce(steps)

    assert queue_and_attempts(rows, status="completed") == ("coding", 3)


def test_an_actor_nobody_announced_waits_in_the_default_queue(steps: Steps, rows: Rows) -> None:
    announce(steps)

    assert queue_and_attempts(rows, actor="send_mail") == ("coding", 3)


def test_attempts_that_are_named_are_kept(steps: Steps, rows: Rows) -> None:
    announce(steps)

    assert queue_and_attempts(rows, max_retries=7) == ("reports", 7)


@pytest.mark.parametrize("queue", ["coding", "reports"])
def test_three_attempts_are_kept_where_enqueue_names_them(steps: Steps, rows: Rows, dsn: str, queue: str) -> None:
    announce(steps, queue)

    with psycopg.connect(dsn) as connection:
        for max_retries in (3, None, 7):
            enqueue(connection, "build_report", max_retries=max_retries)

    assert places(rows) == [(queue, 3), (queue, 5), (queue, 7)]
    assert rows.all("SELECT FROM coding_jobs WHERE claimed_by IS NOT NULL") == []


def test_three_attempts_are_kept_where_a_message_names_them(steps: Steps, rows: Rows, dsn: str) -> None:
    announce(steps, "coding", 21)
    sender = Sender(dsn)
    message: Message[Any] = dramatiq.Message("coding", "build_report", (), {}, {}, message_id=str(uuid4()))

    sender.send(message.copy(options={"max_retries": 2}), {}, 0, None)
    sender.close()

    assert places(rows) == [("coding", 3)]


@pytest.mark.parametrize(
    ("announced", "attempts"), [(None, 3), (0, 0), (-1, 0), (2.0, 2), (2**40, 2**31 - 1), ("many", 3), (True, 3)]
)
def test_an_impossible_number_of_announced_attempts_breaks_no_insert(
    steps: Steps, rows: Rows, announced: Any, attempts: int
) -> None:
    announce(steps, max_retries=announced)

    assert queue_and_attempts(rows) == ("reports", attempts)


@pytest.mark.parametrize("name", ["", "with space", "1st", "q" * 201, None])
def test_an_impossible_queue_name_is_not_announced(steps: Steps, rows: Rows, name: Any) -> None:
    announce(steps, name, queues=["coding"])

    assert queue_and_attempts(rows) == ("coding", 3)


# Whose announcement decides an actor's queue.


def test_the_last_announcement_counts_when_all_workers_are_gone(steps: Steps, rows: Rows) -> None:
    steps.book.stop(announce(steps))
    steps.silence(announce(steps))
    rows.all("DELETE FROM workers WHERE stopped_at IS NOT NULL")

    assert steps.queue.route_jobs(limit=10) == []
    assert queue_and_attempts(rows) == ("reports", 5)


def test_an_actor_that_moved_is_in_the_queue_of_the_newest_announcement(steps: Steps, rows: Rows) -> None:
    old = announce(steps, "reports", 5)
    announce(steps, "bulk", 2)
    assert queue_and_attempts(rows) == ("bulk", 2)

    steps.heartbeat(old)
    steps.queue.route_jobs(limit=10)

    assert queue_and_attempts(rows) == ("bulk", 2), "an older live worker changes nothing"
    steps.book.stop(old)
    assert queue_and_attempts(rows) == ("bulk", 2)


def test_an_announcement_of_attempts_alone_counts(steps: Steps, rows: Rows) -> None:
    announce(steps, max_retries=5)
    announce(steps, max_retries=2)

    assert queue_and_attempts(rows) == ("reports", 2)


def test_after_a_rollback_of_a_deploy_the_live_workers_announcement_counts(steps: Steps, rows: Rows) -> None:
    announce(steps, "reports")
    steps.book.stop(announce(steps, "bulk"))

    assert queue_and_attempts(rows) == ("reports", 5)


def test_after_the_newest_worker_died_the_next_sweep_uses_an_older_ones_announcement(steps: Steps, rows: Rows) -> None:
    announce(steps, "reports")
    steps.silence(announce(steps, "bulk"))

    steps.queue.route_jobs(limit=10)

    assert queue_and_attempts(rows) == ("reports", 5)


def test_a_worker_that_takes_jobs_comes_before_one_that_drains(steps: Steps, rows: Rows) -> None:
    announce(steps, "reports")
    newest = announce(steps, "bulk")
    steps.book.heartbeat(newest, LEASE, [], draining=True)

    steps.queue.route_jobs(limit=10)

    assert queue_and_attempts(rows) == ("reports", 5)


def test_a_worker_that_listens_to_the_queue_comes_before_one_that_does_not(steps: Steps, rows: Rows) -> None:
    announce(steps, "reports")
    announce(steps, "bulk", queues=["mail"])
    assert queue_and_attempts(rows) == ("reports", 5)


def test_an_announcement_counts_though_no_worker_listens_to_its_queue(steps: Steps, rows: Rows) -> None:
    announce(steps, "bulk", queues=["mail"])

    assert queue_and_attempts(rows) == ("bulk", 5)


def test_workers_registered_before_an_upgrade_count_in_the_new_table(steps: Steps, rows: Rows) -> None:
    steps.book.stop(announce(steps, "reports"))
    steps.book.stop(announce(steps, "bulk"))
    rows.all("DELETE FROM actor_queues")

    rows.all("SELECT keep_actor_queues(false)")
    assert queue_and_attempts(rows) == ("coding", 3)
    rows.all("SELECT keep_actor_queues(true)")
    assert queue_and_attempts(rows) == ("bulk", 5)
    announce(steps, "mail")
    rows.all("UPDATE workers SET started_at = now() - interval '1 day' WHERE stopped_at IS NULL")
    rows.all("SELECT keep_actor_queues(true)")
    assert queue_and_attempts(rows) == ("mail", 5), "live workers come first"


def test_a_restart_of_all_workers_writes_nothing(steps: Steps, rows: Rows) -> None:
    announce(steps)
    version = "SELECT xmin::text || ':' || xmax::text FROM actor_queues"
    before = rows.value(version)

    steps.book.stop(announce(steps))
    steps.queue.route_jobs(limit=10)

    assert rows.value(version) == before


# Locks.


def test_inserts_and_registrations_do_not_wait_for_each_other(
    steps: Steps, rows: Rows, other: "psycopg.Connection[Any]"
) -> None:
    announce(steps)
    rows.all("SET lock_timeout = '2s'")
    other.execute("INSERT INTO coding_jobs (actor) VALUES ('build_report')")

    steps.rows.all("SELECT FROM register_worker(%s, 'w', 1, '{bulk}', %s, '1', '1 min')", [
        uuid4(), '{"build_report": {"queue": "bulk"}}'])  # fmt: skip
    other.commit()
    other.execute(
        "SELECT FROM register_worker(%s, 'w', 1, '{mail}', %s, '1', '1 min')",
        [uuid4(), '{"build_report": {"queue": "mail"}}'],
    )

    assert queue_and_attempts(rows) == ("bulk", 3), "as long as it is not committed"
    other.commit()
    assert queue_and_attempts(rows) == ("mail", 3)


def test_a_job_inserted_with_plain_sql_runs_at_once_without_a_sweep(fleet: Fleet, rows: Rows) -> None:
    rows.all("""
        CREATE OR REPLACE FUNCTION route_jobs(p_limit integer)
        RETURNS TABLE (actor text, queue text, jobs bigint, routed_to text) LANGUAGE sql
        AS $$ SELECT NULL::text, NULL::text, NULL::bigint, NULL::text WHERE false $$""")

    job_id = rows.add_job(actor="double", payload={"n": 4})

    eventually(lambda: rows.status(job_id) == "completed", seconds=10)
    assert rows.job(job_id)["queue"] == "tests"

"""A job that names no queue is born in its actor's; one that waits where nobody can run it is moved."""

import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import psycopg
import pytest
from dramatiq import Message

from bridge import enqueue
from bridge.database import Link
from bridge.recovery import Recovery
from bridge.sender import Sender
from tests.support.fleet import Fleet
from tests.support.hands import LEASE, Hands
from tests.support.rows import Rows
from tests.support.waiting import eventually

Places = list[tuple[str, int]]


def announce(hands: Hands, queue: str = "reports", max_retries: Any = 5, **worker: Any) -> UUID:
    """A worker that runs build_report, on the queue that it says."""
    return hands.add_worker(actors={"build_report": {"queue": queue, "max_retries": max_retries}}, **worker)


def places(rows: Rows) -> Places:
    jobs = rows.all("SELECT queue, max_retries FROM coding_jobs ORDER BY seq")
    return [(job["queue"], job["max_retries"]) for job in jobs]


def born(rows: Rows, **columns: Any) -> tuple[str, int]:
    """Where a job of plain SQL stands as soon as it is there."""
    job = rows.job(rows.add_job(**{"actor": "build_report"} | columns))
    return job["queue"], job["max_retries"]


@pytest.fixture
def other(dsn: str) -> Iterator["psycopg.Connection[Any]"]:
    """Somebody with a transaction open."""
    with psycopg.connect(dsn, options="-c lock_timeout=2s") as connection:
        yield connection
        connection.rollback()


# At birth.


@pytest.mark.parametrize(
    "insert",
    [
        "INSERT INTO coding_jobs (actor) VALUES ('build_report'), ('build_report'), ('build_report')",
        "INSERT INTO coding_jobs (actor) SELECT 'build_report' FROM generate_series(1, 3)",
        "INSERT INTO coding_jobs (actor, queue) SELECT 'build_report', 'coding' FROM generate_series(1, 3)",
        "INSERT INTO coding_jobs (actor, run_at) SELECT 'build_report', now() + '1 h' FROM generate_series(1, 3)",
    ],
)
def test_rows_that_name_no_queue_are_born_in_their_actors(hands: Hands, rows: Rows, insert: str) -> None:
    announce(hands)

    rows.all(insert)

    assert places(rows) == [("reports", 5)] * 3
    assert rows.all("SELECT queue, pending FROM queue_counts()") == [{"queue": "reports", "pending": 3}]


def test_copied_rows_are_too(hands: Hands, rows: Rows) -> None:
    announce(hands)

    with rows.connection.cursor().copy("COPY coding_jobs (actor, payload) FROM STDIN") as copy:
        copy.write("build_report\t{}\nbuild_report\t{}\nnobody\t{}\n")

    assert places(rows) == [("reports", 5), ("reports", 5), ("coding", 3)]


def test_each_row_of_a_statement_goes_to_its_own_actors(hands: Hands, rows: Rows) -> None:
    announce(hands)
    hands.add_worker(actors={"send_mail": {"queue": "mail", "max_retries": 1}})

    rows.all("INSERT INTO coding_jobs (actor) VALUES ('build_report'), ('nobody'), ('send_mail'), (DEFAULT)")

    assert places(rows) == [("reports", 5), ("coding", 3), ("mail", 1), ("coding", 3)]


def test_an_actor_with_the_queue_and_attempts_of_another_is_its_own(hands: Hands, rows: Rows) -> None:
    announce(hands)
    hands.add_worker(actors={"send_mail": {"queue": "reports", "max_retries": 5}})

    assert born(rows, actor="send_mail") == ("reports", 5)


def test_an_upsert_sees_the_queue_of_the_actor(hands: Hands, rows: Rows) -> None:
    announce(hands)
    job_id = rows.add_job(actor="build_report", queue="elsewhere")

    rows.all(
        "INSERT INTO coding_jobs (id, actor) VALUES (%s, 'build_report')"
        " ON CONFLICT (id) DO UPDATE SET queue = excluded.queue",
        [job_id],
    )

    assert rows.job(job_id)["queue"] == "reports"


def test_a_row_that_names_its_queue_is_left_alone(hands: Hands, rows: Rows) -> None:
    announce(hands)

    assert born(rows, queue="urgent") == ("urgent", 3)


def test_finished_rows_that_are_loaded_stay_where_they_were(hands: Hands, rows: Rows) -> None:
    announce(hands)

    assert born(rows, status="completed") == ("coding", 3)


def test_an_actor_nobody_announced_waits_in_the_default_queue(hands: Hands, rows: Rows) -> None:
    announce(hands)

    assert born(rows, actor="send_mail") == ("coding", 3)


def test_attempts_that_are_named_are_kept(hands: Hands, rows: Rows) -> None:
    announce(hands)

    assert born(rows, max_retries=7) == ("reports", 7)


@pytest.mark.parametrize("queue", ["coding", "reports"])
def test_three_attempts_are_kept_where_enqueue_names_them(hands: Hands, rows: Rows, dsn: str, queue: str) -> None:
    announce(hands, queue)

    with psycopg.connect(dsn) as connection:
        for max_retries in (3, None, 7):
            enqueue(connection, "build_report", max_retries=max_retries)

    assert places(rows) == [(queue, 3), (queue, 5), (queue, 7)]
    assert rows.all("SELECT FROM coding_jobs WHERE claimed_by IS NOT NULL") == []


def test_three_attempts_are_kept_where_a_message_names_them(hands: Hands, rows: Rows, dsn: str) -> None:
    announce(hands, "coding", 21)
    sender = Sender(dsn)
    message: Message[Any] = dramatiq.Message("coding", "build_report", (), {}, {}, message_id=str(uuid4()))

    sender.send(message.copy(options={"max_retries": 2}), {}, 0, None)
    sender.close()

    assert places(rows) == [("coding", 3)]


@pytest.mark.parametrize(
    ("announced", "attempts"), [(None, 3), (0, 0), (-1, 0), (2.0, 2), (2**40, 2**31 - 1), ("many", 3), (True, 3)]
)
def test_strange_attempts_of_an_announcement_spoil_no_insert(
    hands: Hands, rows: Rows, announced: Any, attempts: int
) -> None:
    announce(hands, max_retries=announced)

    assert born(rows) == ("reports", attempts)


@pytest.mark.parametrize("name", ["", "with space", "1st", "q" * 201, None])
def test_a_queue_no_job_can_be_in_is_not_announced(hands: Hands, rows: Rows, name: Any) -> None:
    announce(hands, name, queues=["coding"])

    assert born(rows) == ("coding", 3)


# Who says where an actor's jobs belong.


def test_the_last_announcement_holds_when_all_workers_are_gone(hands: Hands, rows: Rows) -> None:
    hands.book.stop(announce(hands))
    hands.silence(announce(hands))
    rows.all("DELETE FROM workers WHERE stopped_at IS NOT NULL")

    assert hands.queue.route_jobs(limit=10) == []
    assert born(rows) == ("reports", 5)


def test_an_actor_that_moved_is_where_the_newest_announced_it(hands: Hands, rows: Rows) -> None:
    old = announce(hands, "reports", 5)
    announce(hands, "bulk", 2)
    assert born(rows) == ("bulk", 2)

    hands.heartbeat(old)
    hands.queue.route_jobs(limit=10)

    assert born(rows) == ("bulk", 2), "an older worker that is still alive changes nothing"
    hands.book.stop(old)
    assert born(rows) == ("bulk", 2)


def test_an_announcement_of_attempts_alone_counts(hands: Hands, rows: Rows) -> None:
    announce(hands, max_retries=5)
    announce(hands, max_retries=2)

    assert born(rows) == ("reports", 2)


def test_a_deploy_that_is_taken_back_gives_the_actor_back_to_the_living(hands: Hands, rows: Rows) -> None:
    announce(hands, "reports")
    hands.book.stop(announce(hands, "bulk"))

    assert born(rows) == ("reports", 5)


def test_a_newest_worker_that_died_gives_it_back_with_the_next_look(hands: Hands, rows: Rows) -> None:
    announce(hands, "reports")
    hands.silence(announce(hands, "bulk"))

    hands.queue.route_jobs(limit=10)

    assert born(rows) == ("reports", 5)


def test_a_worker_that_takes_jobs_comes_before_one_that_drains(hands: Hands, rows: Rows) -> None:
    announce(hands, "reports")
    newest = announce(hands, "bulk")
    hands.book.heartbeat(newest, LEASE, [], draining=True)

    hands.queue.route_jobs(limit=10)

    assert born(rows) == ("reports", 5)


def test_a_worker_that_listens_to_the_queue_comes_before_one_that_does_not(hands: Hands, rows: Rows) -> None:
    announce(hands, "reports")
    announce(hands, "bulk", queues=["mail"])
    assert born(rows) == ("reports", 5)


def test_where_nobody_listens_the_announcement_still_counts(hands: Hands, rows: Rows) -> None:
    announce(hands, "bulk", queues=["mail"])

    assert born(rows) == ("bulk", 5)


def test_workers_of_before_count_for_a_database_that_has_just_got_the_table(hands: Hands, rows: Rows) -> None:
    hands.book.stop(announce(hands, "reports"))
    hands.book.stop(announce(hands, "bulk"))
    rows.all("DELETE FROM actor_queues")

    rows.all("SELECT keep_actor_queues(false)")
    assert born(rows) == ("coding", 3)
    rows.all("SELECT keep_actor_queues(true)")
    assert born(rows) == ("bulk", 5)
    announce(hands, "mail")
    rows.all("UPDATE workers SET started_at = now() - interval '1 day' WHERE stopped_at IS NULL")
    rows.all("SELECT keep_actor_queues(true)")
    assert born(rows) == ("mail", 5), "the living come first"


def test_a_fleet_that_starts_again_writes_nothing(hands: Hands, rows: Rows) -> None:
    announce(hands)
    version = "SELECT xmin::text || ':' || xmax::text FROM actor_queues"
    before = rows.value(version)

    hands.book.stop(announce(hands))
    hands.queue.route_jobs(limit=10)

    assert rows.value(version) == before


# Locks.


def test_inserts_and_registrations_wait_for_none_of_each_other(
    hands: Hands, rows: Rows, other: "psycopg.Connection[Any]"
) -> None:
    announce(hands)
    rows.all("SET lock_timeout = '2s'")
    other.execute("INSERT INTO coding_jobs (actor) VALUES ('build_report')")

    hands.rows.all("SELECT FROM register_worker(%s, 'w', 1, '{bulk}', %s, '1', '1 min')", [
        uuid4(), '{"build_report": {"queue": "bulk"}}'])  # fmt: skip
    other.commit()
    other.execute(
        "SELECT FROM register_worker(%s, 'w', 1, '{mail}', %s, '1', '1 min')",
        [uuid4(), '{"build_report": {"queue": "mail"}}'],
    )

    assert born(rows) == ("bulk", 3), "as long as it is not committed"
    other.commit()
    assert born(rows) == ("mail", 3)


# A backlog.


def test_a_job_that_somebody_holds_waits_for_the_next_look(
    hands: Hands, rows: Rows, other: "psycopg.Connection[Any]"
) -> None:
    held, free = (rows.add_job(actor="build_report") for _ in range(2))
    other.execute("SELECT FROM coding_jobs WHERE id = %s FOR UPDATE", [held])
    announce(hands)

    (group,) = hands.queue.route_jobs(limit=10)

    assert (group.jobs, group.routed_to, rows.job(free)["queue"]) == (1, "reports", "reports")
    other.commit()
    assert [group.jobs for group in hands.queue.route_jobs(limit=10)] == [1]
    assert rows.job(held)["queue"] == "reports"


def test_what_is_moved_is_pending_and_due_and_in_vain_where_it_is(hands: Hands, rows: Rows) -> None:
    waits = rows.add_job(actor="build_report")
    later = rows.add_job(actor="build_report", run_at="2100-01-01")
    ended = rows.add_job(actor="build_report", status="failed")
    strange = rows.add_job(actor="nobody", queue="reports")
    announce(hands)
    hands.add_worker(actors={"send_mail": {"queue": "mail"}}, queues=["mail", "other"])
    everything = {"build_report": {"queue": "coding"}, "nobody": {"queue": "reports"}}
    hands.silence(hands.add_worker(actors=everything))
    hands.book.stop(hands.add_worker(actors=everything))  # its lease is good still
    rows.add_job(actor="nobody", queue="reports", run_at="2100-01-01")
    rows.add_job(actor="nobody", queue="reports", status="failed")
    fine = rows.add_job(actor="send_mail", queue="other")

    groups = hands.queue.route_jobs(limit=10)

    told = [(group.actor, group.queue, group.jobs, group.routed_to) for group in groups]
    assert told == [("build_report", "coding", 1, "reports"), ("nobody", "reports", 1, None)]
    assert rows.job(waits)["queue"] == "reports"
    assert [rows.job(job)["queue"] for job in (later, ended, strange, fine)] == ["coding", "coding", "reports", "other"]


@pytest.mark.parametrize("away", ["stopped", "silent", "elsewhere"])
def test_nothing_is_moved_to_where_nobody_can_run_it(hands: Hands, rows: Rows, away: str) -> None:
    worker = announce(hands, queues=["mail"] if away == "elsewhere" else None)
    if away == "stopped":
        hands.book.stop(worker)  # its lease is good still
    elif away == "silent":
        hands.silence(worker)
    job = rows.add_job(actor="build_report", queue="other")

    (group,) = hands.queue.route_jobs(limit=10)

    assert (group.jobs, group.routed_to, rows.job(job)["queue"]) == (1, None, "other")


def test_nobody_waits_where_a_worker_runs_it_though_its_own_queue_is_served_by_nobody(hands: Hands, rows: Rows) -> None:
    announce(hands, "bulk", queues=["mail"])
    rows.add_job(actor="build_report", queue="mail")

    assert hands.queue.route_jobs(limit=10) == []


def test_the_most_urgent_of_a_backlog_are_moved_first(hands: Hands, rows: Rows) -> None:
    first, second, third = (rows.add_job(actor="build_report", priority=priority) for priority in (1, 0, 2))
    announce(hands)

    assert [group.jobs for group in hands.queue.route_jobs(limit=2)] == [2]

    assert [rows.job(job)["queue"] for job in (first, second, third)] == ["reports", "coding", "reports"]


def test_a_backlog_is_moved_look_after_look_without_a_rest(
    hands: Hands, rows: Rows, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.routing._BATCH", 10)
    rows.all("INSERT INTO coding_jobs (actor) SELECT 'build_report' FROM generate_series(1, 25)")
    freed: list[int] = []
    recovery = Recovery(link, lambda: freed.append(1), lease_seconds=30)
    assert recovery.step() > 0
    announce(hands)
    recovery.routing.worker_began()

    rests = [recovery.step() for _ in range(4)]

    assert [rest == 0 for rest in rests] == [True, True, False, False]
    assert (len(freed), rows.value("SELECT count(*) FROM coding_jobs WHERE queue = 'reports'")) == (3, 25)


def test_a_backlog_starts_as_soon_as_a_worker_knows_its_actor(
    new_fleet: Callable[..., Fleet],
    rows: Rows,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.routing._LOOK_SECONDS", 600.0)
    jobs = [rows.add_job(actor="double", payload={"n": n}) for n in range(20)]
    fleet = new_fleet()
    caplog.set_level(logging.INFO)
    fleet.start_bridge()
    eventually(lambda: "Jobs wait: no live worker" in caplog.text, what="the bridge's first look")

    fleet.start_worker()

    eventually(lambda: all(rows.status(job) == "completed" for job in jobs), seconds=10)


def test_a_job_of_plain_sql_runs_at_once_where_nothing_moves_it(fleet: Fleet, rows: Rows) -> None:
    rows.all("""
        CREATE OR REPLACE FUNCTION route_jobs(p_limit integer)
        RETURNS TABLE (actor text, queue text, jobs bigint, routed_to text) LANGUAGE sql
        AS $$ SELECT NULL::text, NULL::text, NULL::bigint, NULL::text WHERE false $$""")

    job_id = rows.add_job(actor="double", payload={"n": 4})

    eventually(lambda: rows.status(job_id) == "completed", seconds=10)
    assert rows.job(job_id)["queue"] == "tests"

"""A backlog in a queue where no live worker can run it is moved to its actor's queue, batch after batch."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from bridge.dispatch.recovery import Recovery
from bridge.dispatch.routing import Routing
from bridge.postgres.link import Link
from tests.support.announcing import announce
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


@pytest.fixture
def other(dsn: str) -> Iterator["psycopg.Connection[Any]"]:
    """A client with an open transaction."""
    with psycopg.connect(dsn, options="-c lock_timeout=2s") as connection:
        yield connection
        connection.rollback()


def test_a_locked_job_waits_for_the_next_sweep(steps: Steps, rows: Rows, other: "psycopg.Connection[Any]") -> None:
    held, free = (rows.add_job(actor="build_report") for _ in range(2))
    other.execute("SELECT FROM coding_jobs WHERE id = %s FOR UPDATE", [held])
    announce(steps)

    (group,) = steps.queue.route_jobs(limit=10)

    assert (group.jobs, group.routed_to, rows.job(free)["queue"]) == (1, "reports", "reports")
    other.commit()
    assert [group.jobs for group in steps.queue.route_jobs(limit=10)] == [1]
    assert rows.job(held)["queue"] == "reports"


def test_only_pending_due_jobs_that_cannot_run_in_their_queue_are_moved(steps: Steps, rows: Rows) -> None:
    waits = rows.add_job(actor="build_report")
    later = rows.add_job(actor="build_report", run_at="2100-01-01")
    ended = rows.add_job(actor="build_report", status="failed")
    strange = rows.add_job(actor="nobody", queue="reports")
    announce(steps)
    steps.add_worker(actors={"send_mail": {"queue": "mail"}}, queues=["mail", "other"])
    everything = {"build_report": {"queue": "coding"}, "nobody": {"queue": "reports"}}
    steps.silence(steps.add_worker(actors=everything))
    steps.book.stop(steps.add_worker(actors=everything))  # its lease is good still
    rows.add_job(actor="nobody", queue="reports", run_at="2100-01-01")
    rows.add_job(actor="nobody", queue="reports", status="failed")
    fine = rows.add_job(actor="send_mail", queue="other")

    groups = steps.queue.route_jobs(limit=10)

    found = [(group.actor, group.queue, group.jobs, group.routed_to) for group in groups]
    assert found == [("build_report", "coding", 1, "reports"), ("nobody", "reports", 1, None)]
    assert rows.job(waits)["queue"] == "reports"
    assert [rows.job(job)["queue"] for job in (later, ended, strange, fine)] == ["coding", "coding", "reports", "other"]


@pytest.mark.parametrize("away", ["stopped", "silent", "elsewhere"])
def test_no_job_is_moved_to_a_queue_where_no_worker_can_run_it(steps: Steps, rows: Rows, away: str) -> None:
    worker = announce(steps, queues=["mail"] if away == "elsewhere" else None)
    if away == "stopped":
        steps.book.stop(worker)  # its lease is good still
    elif away == "silent":
        steps.silence(worker)
    job = rows.add_job(actor="build_report", queue="other")

    (group,) = steps.queue.route_jobs(limit=10)

    assert (group.jobs, group.routed_to, rows.job(job)["queue"]) == (1, None, "other")


def test_a_job_that_a_worker_runs_where_it_is_is_not_reported_as_waiting(steps: Steps, rows: Rows) -> None:
    announce(steps, "bulk", queues=["mail"])
    rows.add_job(actor="build_report", queue="mail")

    assert steps.queue.route_jobs(limit=10) == []

    rows.add_job(actor="nobody", queue="mail")
    assert [group.actor for group in steps.queue.route_jobs(limit=10)] == ["nobody"]


def test_the_most_urgent_of_a_backlog_are_moved_first(steps: Steps, rows: Rows) -> None:
    first, second, third = (rows.add_job(actor="build_report", priority=priority) for priority in (1, 0, 2))
    announce(steps)

    assert [group.jobs for group in steps.queue.route_jobs(limit=2)] == [2]

    assert [rows.job(job)["queue"] for job in (first, second, third)] == ["reports", "coding", "reports"]


def test_the_jobs_of_the_default_queue_are_moved_first(steps: Steps, rows: Rows) -> None:
    elsewhere = rows.add_job(actor="build_report", queue="a", priority=9)
    default = rows.add_job(actor="build_report")
    announce(steps)

    steps.queue.route_jobs(limit=1)

    assert [rows.job(job)["queue"] for job in (elsewhere, default)] == ["a", "reports"]


def test_one_call_moves_jobs_of_several_queues_and_actors(steps: Steps, rows: Rows) -> None:
    for actor, queue in (("build_report", "coding"), ("send_mail", "coding"), ("build_report", "a"), ("nobody", "a")):
        rows.add_job(actor=actor, queue=queue)
    announce(steps)
    steps.add_worker(actors={"send_mail": {"queue": "mail"}})

    groups = steps.queue.route_jobs(limit=4)

    assert {(group.actor, group.queue, group.jobs, group.routed_to) for group in groups} == {
        ("build_report", "coding", 1, "reports"),
        ("send_mail", "coding", 1, "mail"),
        ("build_report", "a", 1, "reports"),
        ("nobody", "a", 1, None),
    }


def test_a_refused_job_does_not_end_the_search(steps: Steps, rows: Rows) -> None:
    refused = rows.add_job(actor="build_report", priority=1)
    rows.add_job(actor="build_report")
    elsewhere = rows.add_job(actor="build_report", queue="a")
    rows.all(f"ALTER TABLE coding_jobs ADD CONSTRAINT host CHECK (queue = 'coding' OR id <> '{refused}') NOT VALID")
    announce(steps)

    steps.queue.route_jobs(limit=2)

    assert [rows.job(job)["queue"] for job in (refused, elsewhere)] == ["coding", "reports"]


def test_jobs_without_a_worker_are_logged_once_while_a_backlog_is_moved(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.dispatch.routing._BATCH", 10)
    monkeypatch.setattr("bridge.dispatch.routing._POLL_SECONDS", 0.0)
    caplog.set_level(logging.INFO)
    routing = Routing(steps.queue)
    rows.add_job(actor="nobody", queue="other")
    routing.step()
    rows.all("INSERT INTO coding_jobs (actor) SELECT 'build_report' FROM generate_series(1, 15)")
    announce(steps)
    routing.worker_started()

    moved = [routing.step() for _ in range(3)]

    assert moved == [True, True, False]
    waits = [record.message for record in caplog.records if "Jobs wait" in record.message]
    assert len(waits) == 1
    assert "no live worker knows their actor" in waits[0]


def test_long_polls_that_move_nothing_are_followed_by_a_longer_rest(
    steps: Steps, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.dispatch.routing._POLL_SECONDS", 0.0)
    announce(steps)
    routing = Routing(steps.queue)
    rows.add_job(actor="build_report", queue="other")
    assert routing.step()
    rows.add_job(actor="build_report", queue="other")
    assert routing.step(), "the last one moved something"
    monkeypatch.setattr("bridge.dispatch.routing._SHARE", 1e9)
    assert not routing.step()
    rows.add_job(actor="build_report", queue="other")

    assert not routing.step()


def test_a_backlog_is_moved_sweep_after_sweep_without_a_rest(
    steps: Steps, rows: Rows, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.dispatch.routing._BATCH", 10)
    rows.all("INSERT INTO coding_jobs (actor) SELECT 'build_report' FROM generate_series(1, 25)")
    freed: list[int] = []
    recovery = Recovery(link, lambda: freed.append(1), lease_seconds=30)
    assert recovery.step() > 0
    announce(steps)
    recovery.routing.worker_started()

    rests = [recovery.step() for _ in range(4)]

    assert [rest == 0 for rest in rests] == [True, True, False, False]
    assert (len(freed), rows.value("SELECT count(*) FROM coding_jobs WHERE queue = 'reports'")) == (3, 25)


def test_a_backlog_starts_as_soon_as_a_worker_knows_its_actor(
    new_fleet: Callable[..., Fleet],
    rows: Rows,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.dispatch.routing._POLL_SECONDS", 600.0)
    jobs = [rows.add_job(actor="double", payload={"n": n}) for n in range(20)]
    fleet = new_fleet()
    caplog.set_level(logging.INFO)
    fleet.start_bridge()
    eventually(lambda: "Jobs wait: no live worker" in caplog.text, what="the first sweep of the bridge")

    fleet.start_worker()

    eventually(lambda: all(rows.status(job) == "completed" for job in jobs), seconds=10)

"""A worker's end is noticed early, because its session lock ends with its link."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from bridge.postgres.attempts import AttemptKey, Attempts, Verdict
from bridge.postgres.link import Link
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.heartbeat import Heartbeat
from bridge.worker.runs import Runs
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

AT_ONCE = timedelta(0)


@pytest.fixture
def book(dsn: str) -> Iterator[Attempts]:
    """The link of a worker process."""
    book = Attempts(Link(dsn, "heartbeat"))
    yield book
    book.close()


def stop_reason(rows: Rows, worker: UUID) -> str | None:
    reason: str | None = rows.value("SELECT stop_reason FROM workers WHERE id = %s", [worker])
    return reason


def end_session(rows: Rows) -> None:
    """End the worker's session."""
    rows.all(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'mobvibe heartbeat' AND datname = current_database()"
    )


def test_a_worker_whose_link_is_gone_is_lost_before_its_lease_runs_out(
    steps: Steps, rows: Rows, book: Attempts
) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    assert book.hold_link(worker)
    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 0
    assert stop_reason(rows, worker) is None

    book.close()

    eventually(
        lambda: steps.queue.watch_workers(confirm=timedelta(hours=1)).without == 1, what="the free lock to be seen"
    )
    assert stop_reason(rows, worker) is None, "not before it was confirmed"
    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 0
    assert stop_reason(rows, worker) == "lost"
    assert steps.reclaim() == {job_id: ("crashed", "pending")}


def test_a_worker_whose_link_is_slow_gets_the_time_it_asked_for(steps: Steps, rows: Rows, book: Attempts) -> None:
    worker = steps.add_worker()
    book.hold_link(worker, timedelta(seconds=8))
    book.close()
    eventually(lambda: steps.queue.watch_workers(confirm=AT_ONCE).without == 1, what="the free lock to be seen")

    rows.all("UPDATE workers SET link_lost_at = link_lost_at - interval '6 s'")
    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 1
    assert stop_reason(rows, worker) is None

    rows.all("UPDATE workers SET link_lost_at = link_lost_at - interval '2 s'")
    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 0
    assert stop_reason(rows, worker) == "lost"


def test_a_worker_that_takes_its_lock_again_in_time_is_alive(steps: Steps, rows: Rows, book: Attempts) -> None:
    worker = steps.add_worker()
    assert book.hold_link(worker)
    end_session(rows)
    eventually(lambda: steps.queue.watch_workers(confirm=timedelta(hours=1)).without == 1)

    assert book.has_news(), "the end of a link shows without a statement"
    assert book.hold_link(worker)

    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 0
    assert stop_reason(rows, worker) is None
    assert rows.value("SELECT link_lost_at FROM workers WHERE id = %s", [worker]) is None


def test_a_lock_taken_again_clears_the_suspicion(steps: Steps, rows: Rows, book: Attempts) -> None:
    worker = steps.add_worker()
    book.hold_link(worker)
    rows.all("UPDATE workers SET link_lost_at = now() - interval '1 day' WHERE id = %s", [worker])

    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 0

    assert stop_reason(rows, worker) is None


def test_a_worker_without_a_lock_is_left_to_its_lease(steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()

    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 0

    assert stop_reason(rows, worker) is None


def test_a_lock_on_a_pooled_link_is_not_watched(steps: Steps, rows: Rows, dsn: str) -> None:
    """A pooler shows clients another process id, and gives one session to many clients."""
    worker = steps.add_worker()
    link = Link(dsn, "pooled")

    assert not link.call("hold_worker_link", {"worker": worker, "pid": 1, "grace": AT_ONCE})[0]["held"]
    link.close()

    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 0
    assert stop_reason(rows, worker) is None


def test_a_lock_that_an_earlier_link_still_holds_is_not_watched(
    steps: Steps, rows: Rows, book: Attempts, dsn: str
) -> None:
    worker = steps.add_worker()
    assert book.hold_link(worker)
    second = Attempts(Link(dsn, "second"))

    assert not second.hold_link(worker)
    book.close()  # the first session ends at last; the worker is alive on its second link

    assert steps.queue.watch_workers(confirm=AT_ONCE).without == 0
    assert stop_reason(rows, worker) is None
    eventually(lambda: second.hold_link(worker), what="the lock to be taken")
    second.close()


def test_a_stopped_worker_does_not_come_back_by_its_lock(steps: Steps, rows: Rows, book: Attempts) -> None:
    worker = steps.add_worker()
    steps.book.stop(worker)

    book.hold_link(worker)

    assert not rows.value("SELECT linked FROM workers WHERE id = %s", [worker])


def test_a_cancel_is_received_on_the_workers_link(steps: Steps, rows: Rows, book: Attempts) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    book.hold_link(worker)
    assert not book.has_news()

    steps.queue.cancel_job(job_id)

    eventually(book.has_news, what="the notice of the cancel")
    assert not book.has_news(), "once"


class DrainsDuringHeartbeat(Attempts):
    """Its worker begins to drain before the answer to a heartbeat has arrived."""

    on_answer: Callable[[], None] | None = None

    def heartbeat(self, *args: Any, **options: Any) -> list[tuple[Verdict, AttemptKey]] | None:
        verdicts = super().heartbeat(*args, **options)
        on_answer, self.on_answer = self.on_answer, None
        if on_answer is not None:
            on_answer()
        return verdicts


def test_a_drain_that_begins_during_a_heartbeat_is_reported_at_once(rows: Rows, dsn: str) -> None:
    book = DrainsDuringHeartbeat(Link(dsn, "heartbeat"))
    abilities = WorkerAbilities(1, ["tests"], {})
    heartbeat = Heartbeat(book, Runs(), abilities, lambda _: None, lease_seconds=30)
    book.on_answer = heartbeat.drain
    heartbeat.open()

    eventually(lambda: book.on_answer is None, what="the first heartbeat")
    eventually(lambda: rows.value("SELECT draining FROM workers"), seconds=3, what="the report of the drain")
    heartbeat.close(5)

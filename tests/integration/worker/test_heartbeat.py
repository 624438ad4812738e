"""A heartbeat keeps a worker alive and returns the attempts that are no longer its own."""

import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from bridge.job import Status
from bridge.postgres.attempts import AttemptKey, Attempts, Verdict
from bridge.postgres.connection import found_dead
from bridge.postgres.link import Link
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.heartbeat import Heartbeat
from bridge.worker.runs import Run, Runs
from tests.support.proxy import Proxy
from tests.support.rows import Rows
from tests.support.steps import CODING, Steps
from tests.support.waiting import eventually


def test_a_heartbeat_keeps_a_worker_alive(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker = steps.add_worker()
    held = steps.started(worker)
    steps.silence(worker)  # the lease ran out, and no bridge has noticed it yet

    assert steps.heartbeat(worker, held) == {}

    assert steps.reclaim() == {}


def test_a_worker_declared_lost_is_told_so(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker = steps.add_worker()
    held = steps.started(worker)
    steps.silence(worker)
    steps.reclaim()

    assert steps.heartbeat(worker, held) is None


def test_a_heartbeat_reports_attempts_that_are_no_longer_ours(steps: Steps, rows: Rows) -> None:
    lost, cancelled, kept = (rows.add_job() for _ in range(3))
    worker = steps.add_worker()
    held = {claim.job_id: steps.start(worker, claim) for claim in steps.claim()}
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [lost])
    assert steps.queue.cancel_job(cancelled) is Status.PROCESSING

    verdicts = steps.heartbeat(worker, *(attempt for attempt in held.values() if attempt))

    ours = {job_id: attempt.exec for job_id, attempt in held.items() if attempt}
    assert verdicts == {ours[lost]: Verdict.LOST, ours[cancelled]: Verdict.CANCELLED}
    assert kept in ours


def test_a_start_whose_answer_was_lost_is_reported_after_a_lease(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    held = steps.started(worker)
    assert steps.heartbeat(worker) == {}  # the answer may still arrive

    rows.all("UPDATE coding_jobs SET started_at = started_at - interval '31s' WHERE id = %s", [job_id])

    assert steps.heartbeat(worker) == {held.exec: Verdict.STRAY}
    assert steps.heartbeat(worker, held) == {}


class ReadsRunsTooEarly(Runs):
    """A heartbeat reads the runs just before the answer of a start call adds one."""

    def held_keys(self) -> list[AttemptKey]:
        return []


def test_a_run_that_has_just_begun_is_not_a_stray(steps: Steps, rows: Rows, dsn: str) -> None:
    job_id = rows.add_job()
    runs = ReadsRunsTooEarly()
    handed_back: list[AttemptKey] = []
    heartbeat = Heartbeat(
        Attempts(Link(dsn, "heartbeat")),
        runs,
        WorkerAbilities(1, ["coding"], CODING),
        handed_back.append,
        lease_seconds=0.6,
    )
    heartbeat.open()
    held = AttemptKey(job_id, steps.claim_one().fence, uuid4())
    (attempt,) = steps.book.start(heartbeat.worker, [held]).values()
    runs.add([Run(held, attempt)])
    rows.all("UPDATE coding_jobs SET started_at = started_at - interval '31s' WHERE id = %s", [job_id])
    for _ in range(2):  # the first one may have read the row before the start
        before = rows.value("SELECT heartbeat_at FROM workers")
        eventually(lambda: rows.value("SELECT heartbeat_at FROM workers") > before)  # noqa: B023 -- called at once

    assert handed_back == []
    runs.remove([held.exec])
    eventually(lambda: handed_back[:1] == [held], what="a heartbeat that finds a stray")
    heartbeat.close(5)


DRAINED = "SELECT id FROM workers WHERE drain_requested_at IS NOT NULL"


def drain(rows: Rows, worker: UUID, verb: str = "drain") -> object:
    return rows.value(f"SELECT {verb}_worker(%s, 'ann', 'an upgrade')", [worker])


def test_an_operator_drains_a_worker_and_resumes_it(rows: Rows, dsn: str) -> None:
    resumed: list[str] = []
    heartbeat = Heartbeat(
        Attempts(Link(dsn, "heartbeat")), Runs(), WorkerAbilities(1, ["tests"], {}), lambda _: None,
        lease_seconds=30, on_resumed=lambda: resumed.append("resumed"),
    )  # fmt: skip
    heartbeat.open()
    announced = "SELECT draining FROM workers WHERE stopped_at IS NULL"

    assert [drain(rows, heartbeat.worker), drain(rows, heartbeat.worker)] == [True, True]
    eventually(lambda: rows.value(announced), seconds=3, what="the worker's word that it takes nothing")
    assert resumed == []

    assert [drain(rows, heartbeat.worker, "resume") for _ in range(2)] == [False, False]
    eventually(lambda: not rows.value(announced), seconds=3, what="the worker's word that it takes jobs")
    assert not heartbeat.is_told_to_drain
    eventually(lambda: resumed == ["resumed"], what="the call")
    assert rows.all("SELECT action, target, done_by, reason FROM operator_audit ORDER BY id") == [
        {
            "action": f"{verb}_worker",
            "target": rows.value("SELECT name FROM workers"),
            "done_by": "ann",
            "reason": "an upgrade",
        }
        for verb in ("drain", "resume")
    ]
    heartbeat.close(5)


def test_a_drained_worker_that_was_declared_lost_stays_drained(rows: Rows, dsn: str) -> None:
    heartbeat = new_heartbeat(dsn)
    heartbeat.open()
    old = heartbeat.worker
    drain(rows, old)
    eventually(lambda: heartbeat.is_told_to_drain, seconds=3, what="an obeyed drain")

    rows.all("SELECT declare_lost(%s, NULL)", [old])
    heartbeat.drain()  # makes it ask at once
    eventually(lambda: heartbeat.worker != old, what="a new id")
    live = "SELECT count(*) FROM workers WHERE stopped_at IS NULL AND drain_requested_at IS NOT NULL"
    eventually(lambda: rows.value(live) == 1, what="the mark on the new row")
    assert heartbeat.is_told_to_drain
    heartbeat.close(5)


def test_a_worker_that_has_ended_is_neither_drained_nor_resumed(steps: Steps, rows: Rows) -> None:
    gone, drained = steps.add_worker(), steps.add_worker()
    drain(rows, drained)
    rows.all("SELECT stop_worker(id) FROM workers")

    for worker in (gone, drained, uuid4()):
        assert [drain(rows, worker), drain(rows, worker, "resume")] == [None, None]

    assert rows.value("SELECT count(*) FROM operator_audit") == 1
    assert rows.all(DRAINED) == [{"id": drained}]


def test_only_the_named_worker_is_drained_and_resumed(steps: Steps, rows: Rows) -> None:
    one, other = steps.add_worker(), steps.add_worker()

    assert drain(rows, one) is True
    assert rows.all(DRAINED) == [{"id": one}]
    drain(rows, other)
    assert drain(rows, one, "resume") is False
    assert rows.all(DRAINED) == [{"id": other}]


def test_the_schema_before_knows_no_drain(steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()
    rows.all("ALTER TABLE workers DROP COLUMN drain_requested_at")

    assert not steps.book.is_told_to_drain(worker)
    assert [row["drain_requested_at"] for row in steps.link.call("list_workers")] == [None]


class FindsDeadLink(Runs):
    """Another link of the process is found dead just when a heartbeat collects what runs."""

    def __init__(self, in_the_midst: Callable[[], None]) -> None:
        super().__init__()
        self._in_the_midst = in_the_midst

    def held_keys(self) -> list[AttemptKey]:
        self._in_the_midst()
        return super().held_keys()


def new_heartbeat(dsn: str, runs: Runs | None = None, after_beat: Callable[[], None] = lambda: None) -> Heartbeat:
    book, abilities = Attempts(Link(dsn, "heartbeat")), WorkerAbilities(1, ["tests"], {})
    return Heartbeat(book, runs or Runs(), abilities, lambda _: None, lease_seconds=30, after_beat=after_beat)


@pytest.mark.parametrize("when", ["before a heartbeat", "in the midst of it"])
def test_a_heartbeat_over_a_new_link_takes_the_workers_lock_at_once(
    steps: Steps, rows: Rows, dsn: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    server = steps.link.connection.info

    def find_dead() -> None:
        monkeypatch.setitem(found_dead, (server.host, server.port), time.monotonic())

    # By the heartbeat's own thread: an answer that its link still got after `find_dead` would make the link good again.
    if when == "before a heartbeat":
        heartbeat = new_heartbeat(dsn, after_beat=find_dead)
    else:
        heartbeat = new_heartbeat(dsn, FindsDeadLink(find_dead))
    heartbeat.open()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    eventually(lambda: rows.value("SELECT heartbeat_at > started_at FROM workers"), what="the first heartbeat")
    before = rows.value(
        "SELECT array_agg(pid) FROM pg_stat_activity"
        " WHERE application_name = 'mobvibe heartbeat' AND datname = current_database()"
    )
    heartbeat.drain()
    eventually(lambda: rows.value("SELECT draining FROM workers"), what="the next heartbeat")
    eventually(lambda: rows.value(sessions, [before]) == 0, what="the end of the old session and its lock")

    eventually(
        lambda: steps.queue.watch_workers(confirm=timedelta(hours=1)).without == 0, seconds=1, what="a sign of life"
    )
    heartbeat.close(5)


def test_a_worker_whose_slow_link_breaks_is_not_declared_lost(
    steps: Steps, rows: Rows, proxy: Proxy, by_proxy: str
) -> None:
    heartbeat = new_heartbeat(by_proxy)
    heartbeat.open()
    eventually(lambda: rows.value("SELECT heartbeat_at > started_at FROM workers"), what="the first heartbeat")
    proxy.delay_seconds = 0.2
    heartbeat.drain()
    eventually(
        lambda: rows.value("SELECT link_patience >= '4 s' FROM workers"), what="the report that the link is slow"
    )

    rows.all(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'mobvibe heartbeat' AND datname = current_database()"
    )

    def without() -> int:
        return steps.queue.watch_workers(confirm=timedelta(seconds=1)).without

    eventually(lambda: without() == 1, what="the end of the link to be seen")
    eventually(lambda: without() == 0, what="its lock to be taken again")
    assert rows.value("SELECT linked AND stopped_at IS NULL FROM workers")
    heartbeat.close(5)

"""The one arrow back: what is taken back, what it costs, and from whom nothing is taken."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.attempts import AttemptBook, Held, Verdict
from bridge.database import Link
from bridge.errors import PostgresBusyError
from bridge.job import Status
from bridge.recovery import Recovery
from bridge.worker.heartbeat import Heartbeat, WorkerAbilities
from bridge.worker.runs import Run, Runs
from tests.support.hands import CODING, LEASE, Hands
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_jobs_of_a_lost_worker_have_crashed_and_run_again(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    hands.silence(worker)

    assert hands.reclaim() == {job_id: ("crashed", "pending")}

    job = rows.job(job_id)
    assert job["retry_count"] == 1
    assert "was lost" in job["error_message"]
    assert not hands.complete(held)
    row = rows.one("SELECT * FROM workers WHERE id = %s", [worker])
    assert (row["stop_reason"], row["stopped_at"] is not None) == ("lost", True)


def test_a_job_that_loses_its_worker_every_time_fails(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job(max_retries=2)
    for _ in range(2):
        worker = hands.add_worker()
        (claim,) = hands.claim() or hands.queue.claim_suspects("bridge", lease=LEASE)
        assert hands.start(worker, claim)
        hands.silence(worker)
        hands.reclaim()

    job = rows.job(job_id)
    assert (job["status"], job["error_message"][:7]) == ("failed", "crashed")
    assert rows.outcomes(job_id) == ["crashed", "crashed"]


def test_nothing_is_taken_from_the_living(hands: Hands, rows: Rows) -> None:
    rows.add_job()
    hands.started()

    assert hands.reclaim() == {}


def test_a_heartbeat_keeps_a_worker_alive(hands: Hands, rows: Rows) -> None:
    rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    hands.silence(worker)  # the lease ran out, and nobody has noticed yet

    assert hands.heartbeat(worker, held) == {}

    assert hands.reclaim() == {}


def test_a_worker_declared_lost_is_told_so(hands: Hands, rows: Rows) -> None:
    rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    hands.silence(worker)
    hands.reclaim()

    assert hands.heartbeat(worker, held) is None


def test_a_heartbeat_names_what_is_no_longer_ours(hands: Hands, rows: Rows) -> None:
    lost, cancelled, kept = (rows.add_job() for _ in range(3))
    worker = hands.add_worker()
    held = {claim.job_id: hands.start(worker, claim) for claim in hands.claim()}
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [lost])
    assert hands.queue.cancel_job(cancelled) is Status.PROCESSING

    verdicts = hands.heartbeat(worker, *(attempt for attempt in held.values() if attempt))

    ours = {job_id: attempt.exec for job_id, attempt in held.items() if attempt}
    assert verdicts == {ours[lost]: Verdict.LOST, ours[cancelled]: Verdict.CANCELLED}
    assert kept in ours


def test_a_start_whose_answer_was_lost_is_named_after_a_lease(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    assert hands.heartbeat(worker) == {}  # it may be on its way still

    rows.all("UPDATE coding_jobs SET started_at = started_at - interval '31s' WHERE id = %s", [job_id])

    assert hands.heartbeat(worker) == {held.exec: Verdict.STRAY}
    assert hands.heartbeat(worker, held) == {}


class LookedBefore(Runs):
    """A heartbeat looks just before a start's answer brings the run."""

    def held(self) -> list[Held]:
        return []


def test_a_run_that_began_just_now_is_no_stray(hands: Hands, rows: Rows, dsn: str) -> None:
    job_id = rows.add_job()
    runs = LookedBefore()
    handed_back: list[Held] = []
    heartbeat = Heartbeat(
        AttemptBook(Link(dsn, "heartbeat")),
        runs,
        WorkerAbilities(1, ["coding"], CODING),
        handed_back.append,
        lease_seconds=0.6,
    )
    heartbeat.open()
    held = Held(job_id, hands.claim_one().fence, uuid4())
    (attempt,) = hands.book.start(heartbeat.worker, [held]).values()
    runs.add([Run(held, attempt)])
    rows.all("UPDATE coding_jobs SET started_at = started_at - interval '31s' WHERE id = %s", [job_id])
    for _ in range(2):  # of the first one it is not known which row it saw
        before = rows.value("SELECT heartbeat_at FROM workers")
        eventually(lambda: rows.value("SELECT heartbeat_at FROM workers") > before)  # noqa: B023 -- called at once

    assert handed_back == []
    runs.remove([held.exec])
    eventually(lambda: handed_back[:1] == [held], what="a heartbeat that finds a stray")
    heartbeat.close(5)


def test_a_hand_over_nobody_started_is_released_without_a_retry_spent(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job(max_retries=1)
    hands.add_worker()
    hands.claim_one()
    assert hands.reclaim() == {}
    hands.expire(job_id)

    assert hands.reclaim() == {job_id: ("released", "pending")}

    assert rows.job(job_id)["retry_count"] == 0
    assert hands.claim_one().fence == 2


def test_a_job_the_node_worker_left_behind_is_reclaimed(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    claimed = hands.queue.claim_next_job()
    assert claimed is not None
    assert hands.reclaim() == {}
    hands.expire(job_id)

    assert hands.reclaim() == {job_id: ("reclaimed", "pending")}

    assert rows.job(job_id)["retry_count"] == 1
    assert rows.outcomes(job_id) == ["reclaimed"]


def test_a_row_made_processing_by_hand_comes_back_in_the_end(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job(status="processing")
    assert hands.reclaim() == {}

    rows.all("ALTER TABLE coding_jobs DISABLE TRIGGER USER")
    rows.all("UPDATE coding_jobs SET updated_at = now() - interval '61 minutes' WHERE id = %s", [job_id])

    assert hands.reclaim() == {job_id: ("reclaimed", "pending")}


def test_an_attempt_that_a_hand_begins_anew_is_a_new_one_and_holds_up_nobody(hands: Hands, rows: Rows) -> None:
    again = rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    assert hands.complete(held)

    rows.all("UPDATE coding_jobs SET status = 'processing' WHERE id = %s", [again])

    job = rows.job(again)
    assert (job["fence"], job["exec"], job["claimed_by"]) == (held.fence + 1, None, None)
    crashed = rows.add_job()
    hands.started(worker)
    hands.book.stop(worker)
    rows.all("UPDATE coding_jobs SET lease_expires_at = now() - interval '1 s' WHERE id = %s", [again])
    assert hands.reclaim() == {again: ("reclaimed", "pending"), crashed: ("crashed", "pending")}


def test_an_attempt_begun_by_hand_started_when_it_began(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    hands.fail(hands.started())

    rows.all("UPDATE coding_jobs SET status = 'processing' WHERE id = %s", [job_id])
    hands.queue.complete_job(job_id)

    first, second = rows.attempts(job_id)
    assert first["finished_at"] < second["claimed_at"] == second["started_at"] <= second["finished_at"]


def test_a_job_that_cannot_be_taken_back_holds_up_nobody(hands: Hands, rows: Rows, dsn: str) -> None:
    session = rows.add_session()
    worker = hands.add_worker()
    stuck = rows.add_job(session_id=session, max_retries=1)
    hands.started(worker)
    free = rows.add_job()
    hands.started(worker)
    hands.book.stop(worker)

    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session])
        assert hands.reclaim() == {free: ("crashed", "pending")}

    assert hands.reclaim() == {stuck: ("crashed", "failed")}


def test_many_jobs_that_cannot_be_taken_back_do_not_end_the_sweep(hands: Hands, rows: Rows, dsn: str) -> None:
    session = rows.add_session()
    worker = hands.add_worker(slots=100)
    for _ in range(40):
        rows.add_job(session_id=session, max_retries=1)
    for claim in hands.claim():
        assert hands.start(worker, claim)
    hands.book.stop(worker)
    silent = hands.add_worker()
    hands.silence(silent)

    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session])
        hands.link.connection.execute("SET statement_timeout = '6s'")  # 40 jobs wait longer than that for their locks
        assert hands.reclaim() == {}

    assert rows.value("SELECT stop_reason FROM workers WHERE id = %s", [silent]) == "lost"


def test_a_workers_row_that_somebody_holds_waits_for_the_next_look(hands: Hands, rows: Rows, dsn: str) -> None:
    held, other = hands.add_worker(), hands.add_worker()
    lost = "SELECT id FROM workers WHERE stop_reason = 'lost' ORDER BY stopped_at"
    for worker in (held, other):
        hands.silence(worker)
    hands.link.connection.execute("SET lock_timeout = '1s'")
    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM workers WHERE id = %s FOR UPDATE", [held])
        hands.reclaim()
        assert [row["id"] for row in rows.all(lost)] == [other]

        unlinked = hands.add_worker()
        rows.all("UPDATE workers SET linked = true WHERE id IN (%s, %s)", [unlinked, hands.add_worker()])
        somebody.execute("SELECT FROM workers WHERE id = %s FOR UPDATE", [unlinked])
        assert hands.queue.watch_links(confirm=timedelta(hours=1)) == 1
        rows.all("UPDATE workers SET link_lost_at = now() - interval '2 hours' WHERE link_lost_at IS NOT NULL")
        assert hands.queue.watch_links(confirm=timedelta(hours=1)) == 0

    hands.reclaim()
    assert hands.queue.watch_links(confirm=timedelta(0)) == 0
    assert rows.value("SELECT count(*) FROM workers WHERE stop_reason = 'lost'") == 4


def test_a_hand_over_that_cannot_be_released_holds_up_nobody(hands: Hands, rows: Rows) -> None:
    hands.add_worker()
    refused, other = rows.add_job(prompt="refuse me"), rows.add_job()
    for claim in hands.claim():
        hands.expire(claim.job_id)
    rows.all(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
           CREATE TRIGGER refuse BEFORE UPDATE ON coding_jobs FOR EACH ROW
           WHEN (NEW.prompt = 'refuse me' AND NEW.status = 'pending') EXECUTE FUNCTION refuse()"""
    )
    try:
        assert hands.reclaim() == {other: ("released", "pending")}
    finally:
        rows.all("DROP FUNCTION refuse CASCADE")
    assert hands.reclaim() == {refused: ("released", "pending")}


def test_rows_of_housekeeping_that_somebody_holds_do_not_keep_a_job_from_being_taken_back(
    hands: Hands, rows: Rows, dsn: str, link: Link
) -> None:
    ended, worker = hands.add_worker(), hands.add_worker()
    rows.all("UPDATE workers SET stopped_at = now() - interval '8 days' WHERE id = %s", [ended])
    crashed = rows.add_job()
    hands.started(worker)
    hands.book.stop(worker)
    elsewhere = rows.add_job(actor="build_report")
    hands.add_worker(actors={"build_report": {"queue": "reports"}})
    recovery = Recovery(link, lambda: None, lease_seconds=30)
    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM workers WHERE id = %s FOR UPDATE", [ended])
        somebody.execute("SELECT FROM coding_jobs WHERE id = %s FOR UPDATE", [elsewhere])
        with suppress(PostgresBusyError):
            recovery.step()

        assert rows.outcomes(crashed) == ["crashed"]


def step_until_crashed(
    recovery: Recovery, rows: Rows, job_id: UUID, *, seconds: float, before: Callable[[], None] = lambda: None
) -> None:
    def step() -> bool:
        before()
        recovery.step()
        return rows.outcomes(job_id) == ["crashed"]

    eventually(step, seconds=seconds, what="a sweep that calls it crashed")


def test_a_bridge_that_has_just_started_waits_for_those_that_were_away_as_it_was(
    hands: Hands, rows: Rows, link: Link
) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    hands.silence(worker)  # nobody could reach Postgres for a lease
    eventually(lambda: rows.value("SELECT now() - pg_postmaster_start_time() > '6 s'"), what="an end to its own grace")
    recovery = Recovery(link, lambda: None, lease_seconds=6)

    recovery.step()
    assert rows.value("SELECT stopped_at FROM workers") is None
    assert hands.heartbeat(worker, held) == {}
    recovery.step()
    assert rows.outcomes(job_id) == []
    assert hands.complete(held)


def test_a_bridge_that_has_just_started_does_not_wait_for_long(
    hands: Hands, rows: Rows, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    hands.started(worker)
    hands.silence(worker)
    recovery = Recovery(link, lambda: None, lease_seconds=1)
    recovery.active()
    monkeypatch.setattr("bridge.recovery._FIRST_GRACE_SECONDS", 0.3)
    began = time.monotonic()

    step_until_crashed(recovery, rows, job_id, seconds=5)
    assert time.monotonic() - began >= 0.3


def test_a_machine_that_slept_declares_nobody_lost_before_heartbeats_could_come(
    hands: Hands, rows: Rows, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asleep = time.clock_gettime, 0.0
    monkeypatch.setattr("bridge.clock.time.clock_gettime", lambda which: clock(which) + asleep)
    monkeypatch.setattr("bridge.recovery._FIRST_GRACE_SECONDS", 0.0)
    recovery = Recovery(link, lambda: None, lease_seconds=4)
    job_id = rows.add_job()
    worker = hands.add_worker()
    hands.started(worker)
    recovery.step()
    hands.silence(worker)
    asleep = 2.5
    recovery.active()
    woke_at = time.monotonic()

    step_until_crashed(recovery, rows, job_id, seconds=10)
    assert time.monotonic() - woke_at >= 4


def test_a_link_of_ours_that_breaks_all_the_time_keeps_no_dead_worker_alive(
    hands: Hands, rows: Rows, link: Link
) -> None:
    recovery = Recovery(link, lambda: None, lease_seconds=0.7)
    recovery.step()
    job_id = rows.add_job()
    worker = hands.add_worker()
    hands.started(worker)
    hands.silence(worker)
    recovery.active()
    broke_first = time.monotonic()

    step_until_crashed(recovery, rows, job_id, seconds=8, before=link.close)
    assert time.monotonic() - broke_first >= 2.1, "heartbeats had three leases to come through"


def test_what_a_new_worker_starts_during_a_sweep_has_not_crashed(hands: Hands, rows: Rows, dsn: str) -> None:
    job_id = rows.add_job()
    hands.add_worker()
    claim = hands.claim_one()
    hands.expire(job_id)
    rows.add_job()
    hands.queue.claim_next_job()  # its lease is asked for between the sweep's snapshot and its locks
    rows.all("UPDATE coding_jobs SET lease_expires_at = NULL WHERE id <> %s", [job_id])
    rows.all("""
        CREATE OR REPLACE FUNCTION unwatched_lease() RETURNS interval LANGUAGE plpgsql AS $$
        BEGIN
            WHILE NOT pg_try_advisory_xact_lock_shared(4711) LOOP PERFORM pg_sleep(0.01); END LOOP;
            RETURN interval '1 hour';
        END $$""")
    sweeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    with psycopg.connect(dsn) as gate, psycopg.connect(dsn, autocommit=True) as sweeper, ThreadPoolExecutor() as pool:
        gate.execute("SELECT pg_advisory_xact_lock(4711)")
        sweep = pool.submit(sweeper.execute, "SELECT * FROM reclaim_jobs(10, '0')")
        eventually(lambda: rows.value(sweeps))
        held = hands.start(hands.add_worker(), claim)
        assert held
        gate.rollback()
        assert sweep.result(10).fetchall() == []

    assert rows.outcomes(job_id) == []
    assert hands.complete(held)


def test_a_goodbye_frees_what_the_worker_still_held(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    hands.started(worker)

    hands.book.stop(worker)

    assert hands.reclaim() == {job_id: ("crashed", "pending")}


def test_nobody_is_declared_lost_right_after_postgres_came_up(hands: Hands, rows: Rows) -> None:
    rows.add_job()
    worker = hands.add_worker()
    hands.started(worker)
    hands.silence(worker)

    assert hands.queue.reclaim_jobs(limit=10, grace=timedelta(days=1)) == []

    assert rows.value("SELECT stopped_at FROM workers WHERE id = %s", [worker]) is None


def test_one_sweep_runs_at_a_time(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    hands.started(worker)
    hands.silence(worker)
    with rows.connection.transaction():
        rows.all("SELECT pg_advisory_xact_lock(hashtext('mobvibe.reclaim'))")
        assert hands.reclaim() == {}

    assert job_id in hands.reclaim()


def test_a_sweep_passes_over_a_row_that_somebody_is_changing(hands: Hands, rows: Rows, dsn: str) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    hands.silence(worker)
    other = Hands(dsn, rows)
    with other.link.connection.transaction():
        assert other.complete(held)  # not committed yet
        assert hands.reclaim() == {}
    other.close()

    assert hands.reclaim() == {}
    assert rows.outcomes(job_id) == ["completed"]


def test_a_crash_of_a_job_to_be_cancelled_cancels_it(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    hands.started(worker)
    hands.queue.cancel_job(job_id)
    hands.silence(worker)

    assert hands.reclaim() == {job_id: ("cancelled", "cancelled")}


def test_stuck_jobs_move_to_the_queue_of_their_actor(hands: Hands, rows: Rows) -> None:
    wrong = rows.add_job(actor="build_report")  # inserted without a queue: it says 'coding'
    unknown = rows.add_job(actor="nobody")
    hands.add_worker(actors={"build_report": {"queue": "reports"}})

    groups = {(group.actor, group.routed_to) for group in hands.queue.route_jobs(limit=100)}

    assert groups == {("build_report", "reports"), ("nobody", None)}
    assert hands.claim_one().queue == "reports"
    assert rows.job(wrong)["queue"] == "reports"
    assert rows.job(unknown)["queue"] == "coding"


def test_jobs_that_can_run_where_they_are_stay_there(hands: Hands, rows: Rows) -> None:
    rows.add_job(actor="build_report", queue="coding")
    hands.add_worker(queues=["coding", "reports"], actors={"build_report": {"queue": "reports"}})

    assert hands.queue.route_jobs(limit=100) == []

"""Reclaim: which attempts are taken back, which of them spend a retry, and which are never taken back."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps
from tests.support.waiting import eventually


def test_jobs_of_a_lost_worker_have_crashed_and_run_again(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    held = steps.started(worker)
    steps.silence(worker)

    assert steps.reclaim() == {job_id: ("crashed", "pending")}

    job = rows.job(job_id)
    assert job["retry_count"] == 1
    assert "was lost" in job["error_message"]
    assert not steps.complete(held)
    row = rows.one("SELECT * FROM workers WHERE id = %s", [worker])
    assert (row["stop_reason"], row["stopped_at"] is not None) == ("lost", True)


def test_a_job_that_loses_its_worker_every_time_fails(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(max_retries=2)
    for _ in range(2):
        worker = steps.add_worker()
        (claim,) = steps.claim() or steps.queue.claim_suspects("bridge", lease=LEASE)
        assert steps.start(worker, claim)
        steps.silence(worker)
        steps.reclaim()

    job = rows.job(job_id)
    assert (job["status"], job["error_message"][:7]) == ("failed", "crashed")
    assert rows.outcomes(job_id) == ["crashed", "crashed"]


def test_no_job_is_taken_from_a_live_worker(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    steps.started()

    assert steps.reclaim() == {}


def test_a_hand_over_nobody_started_is_released_without_a_retry_spent(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(max_retries=1)
    steps.add_worker()
    steps.claim_one()
    assert steps.reclaim() == {}
    steps.expire(job_id)

    assert steps.reclaim() == {job_id: ("released", "pending")}

    assert rows.job(job_id)["retry_count"] == 0
    assert steps.claim_one().fence == 2


def test_a_job_the_node_worker_left_behind_is_reclaimed(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    claimed = steps.queue.claim_next_job()
    assert claimed is not None
    assert steps.reclaim() == {}
    steps.expire(job_id)

    assert steps.reclaim() == {job_id: ("reclaimed", "pending")}

    assert rows.job(job_id)["retry_count"] == 1
    assert rows.outcomes(job_id) == ["reclaimed"]


def test_each_job_of_one_sweep_keeps_its_own_values(steps: Steps, rows: Rows) -> None:
    released = [rows.add_job() for _ in range(6)]
    steps.add_worker()
    for fence in (1, 2):
        assert {claim.fence for claim in steps.claim()} == {fence}
        for job_id in released:
            steps.expire(job_id)
        if fence == 1:
            steps.reclaim()
    crashed = [rows.add_job() for _ in range(6)]
    worker = steps.add_worker()
    for claim in steps.claim():
        assert steps.start(worker, claim)
    steps.book.stop(worker)
    reclaimed = [rows.add_job() for _ in range(6)]
    for job_id in reclaimed:
        assert steps.queue.claim_next_job()
        steps.expire(job_id)

    assert steps.reclaim() == {
        **dict.fromkeys(released, ("released", "pending")),
        **dict.fromkeys(crashed, ("crashed", "pending")),
        **dict.fromkeys(reclaimed, ("reclaimed", "pending")),
    }

    waiting = {row["id"] for row in rows.all("SELECT id FROM coding_jobs WHERE run_at > clock_timestamp()")}
    assert waiting == set(reclaimed), "a job that nobody reported waits its turn; a first crash is due at once"
    assert {job_id: rows.job(job_id)["retry_count"] for job_id in released} == dict.fromkeys(released, 0)


def test_a_row_set_to_processing_by_hand_is_taken_back_in_the_end(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(status="processing")
    assert steps.reclaim() == {}

    rows.all("ALTER TABLE coding_jobs DISABLE TRIGGER USER")
    rows.all("UPDATE coding_jobs SET updated_at = now() - interval '61 minutes' WHERE id = %s", [job_id])

    assert steps.reclaim() == {job_id: ("reclaimed", "pending")}


def test_an_attempt_begun_again_by_hand_is_a_new_one_and_blocks_no_other(steps: Steps, rows: Rows) -> None:
    again = rows.add_job()
    worker = steps.add_worker()
    held = steps.started(worker)
    assert steps.complete(held)

    rows.all("UPDATE coding_jobs SET status = 'processing' WHERE id = %s", [again])

    job = rows.job(again)
    assert (job["fence"], job["exec"], job["claimed_by"]) == (held.fence + 1, None, None)
    crashed = rows.add_job()
    steps.started(worker)
    steps.book.stop(worker)
    rows.all("UPDATE coding_jobs SET lease_expires_at = now() - interval '1 s' WHERE id = %s", [again])
    assert steps.reclaim() == {again: ("reclaimed", "pending"), crashed: ("crashed", "pending")}


def test_an_attempt_begun_by_hand_started_when_it_began(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.fail(steps.started())

    rows.all("UPDATE coding_jobs SET status = 'processing' WHERE id = %s", [job_id])
    steps.queue.complete_job(job_id)

    first, second = rows.attempts(job_id)
    assert first["finished_at"] < second["claimed_at"] == second["started_at"] <= second["finished_at"]


def test_a_job_that_a_new_worker_starts_during_a_sweep_has_not_crashed(steps: Steps, rows: Rows, dsn: str) -> None:
    job_id = rows.add_job()
    steps.add_worker()
    claim = steps.claim_one()
    steps.expire(job_id)
    rows.add_job()
    steps.queue.claim_next_job()  # its lease is read between the sweep's snapshot and its locks
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
        held = steps.start(steps.add_worker(), claim)
        assert held
        gate.rollback()
        assert sweep.result(10).fetchall() == []

    assert rows.outcomes(job_id) == []
    assert steps.complete(held)


def test_a_stopping_worker_releases_the_jobs_it_still_held(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)

    steps.book.stop(worker)

    assert steps.reclaim() == {job_id: ("crashed", "pending")}


def test_a_crash_of_a_job_to_be_cancelled_cancels_it(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    steps.queue.cancel_job(job_id)
    steps.silence(worker)

    assert steps.reclaim() == {job_id: ("cancelled", "cancelled")}


def test_stuck_jobs_move_to_the_queue_of_their_actor(steps: Steps, rows: Rows) -> None:
    wrong = rows.add_job(actor="build_report")  # inserted without a queue, so its queue is 'coding'
    unknown = rows.add_job(actor="nobody")
    steps.add_worker(actors={"build_report": {"queue": "reports"}})

    groups = {(group.actor, group.routed_to) for group in steps.queue.route_jobs(limit=100)}

    assert groups == {("build_report", "reports"), ("nobody", None)}
    assert steps.claim_one().queue == "reports"
    assert rows.job(wrong)["queue"] == "reports"
    assert rows.job(unknown)["queue"] == "coding"


def test_jobs_that_can_run_where_they_are_stay_there(steps: Steps, rows: Rows) -> None:
    rows.add_job(actor="build_report", queue="old")
    steps.add_worker(queues=["old", "reports"], actors={"build_report": {"queue": "reports"}})

    assert steps.queue.route_jobs(limit=100) == []

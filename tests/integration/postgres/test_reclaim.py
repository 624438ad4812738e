"""The one arrow back: what is taken back, what it costs, and from whom nothing is taken."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.support.hands import LEASE, Hands
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


def test_what_is_taken_back_in_one_sweep_keeps_what_is_its_own(hands: Hands, rows: Rows) -> None:
    released = [rows.add_job() for _ in range(6)]
    hands.add_worker()
    for fence in (1, 2):
        assert {claim.fence for claim in hands.claim()} == {fence}
        for job_id in released:
            hands.expire(job_id)
        if fence == 1:
            hands.reclaim()
    crashed = [rows.add_job() for _ in range(6)]
    worker = hands.add_worker()
    for claim in hands.claim():
        assert hands.start(worker, claim)
    hands.book.stop(worker)
    reclaimed = [rows.add_job() for _ in range(6)]
    for job_id in reclaimed:
        assert hands.queue.claim_next_job()
        hands.expire(job_id)

    assert hands.reclaim() == {
        **dict.fromkeys(released, ("released", "pending")),
        **dict.fromkeys(crashed, ("crashed", "pending")),
        **dict.fromkeys(reclaimed, ("reclaimed", "pending")),
    }

    waiting = {row["id"] for row in rows.all("SELECT id FROM coding_jobs WHERE run_at > clock_timestamp()")}
    assert waiting == set(reclaimed), "a job that nobody reported waits its turn; a first crash is due at once"
    assert {job_id: rows.job(job_id)["retry_count"] for job_id in released} == dict.fromkeys(released, 0)


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
    rows.add_job(actor="build_report", queue="old")
    hands.add_worker(queues=["old", "reports"], actors={"build_report": {"queue": "reports"}})

    assert hands.queue.route_jobs(limit=100) == []

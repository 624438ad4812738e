"""Locked or refused rows are left for the next sweep, and delay no others."""

from contextlib import suppress
from datetime import timedelta

import psycopg

from bridge.dispatch.recovery import Recovery
from bridge.errors import PostgresBusyError
from bridge.postgres.link import Link
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


def test_a_job_that_cannot_be_taken_back_delays_no_other(steps: Steps, rows: Rows, dsn: str) -> None:
    session = rows.add_session()
    worker = steps.add_worker()
    stuck = rows.add_job(session_id=session, max_retries=1)
    steps.started(worker)
    free = rows.add_job()
    steps.started(worker)
    steps.book.stop(worker)

    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session])
        assert steps.reclaim() == {free: ("crashed", "pending")}

    eventually(lambda: steps.reclaim() == {stuck: ("crashed", "failed")}, seconds=3)


def test_many_jobs_that_cannot_be_taken_back_do_not_end_the_sweep(steps: Steps, rows: Rows, dsn: str) -> None:
    session = rows.add_session()
    worker = steps.add_worker(slots=100)
    for _ in range(40):
        rows.add_job(session_id=session, max_retries=1)
    for claim in steps.claim():
        assert steps.start(worker, claim)
    steps.book.stop(worker)
    silent = steps.add_worker()
    steps.silence(silent)

    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session])
        steps.link.connection.execute("SET statement_timeout = '6s'")  # 40 jobs wait longer than that for their locks
        assert steps.reclaim() == {}

    assert rows.value("SELECT stop_reason FROM workers WHERE id = %s", [silent]) == "lost"


def test_a_locked_row_of_a_worker_waits_for_the_next_sweep(steps: Steps, rows: Rows, dsn: str) -> None:
    held, other = steps.add_worker(), steps.add_worker()
    lost = "SELECT id FROM workers WHERE stop_reason = 'lost' ORDER BY stopped_at"
    for worker in (held, other):
        steps.silence(worker)
    steps.link.connection.execute("SET lock_timeout = '1s'")
    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM workers WHERE id = %s FOR UPDATE", [held])
        steps.reclaim()
        assert [row["id"] for row in rows.all(lost)] == [other]

        unlinked = steps.add_worker()
        rows.all("UPDATE workers SET linked = true WHERE id IN (%s, %s)", [unlinked, steps.add_worker()])
        somebody.execute("SELECT FROM workers WHERE id = %s FOR UPDATE", [unlinked])
        assert steps.queue.watch_workers(confirm=timedelta(hours=1)).without == 1
        rows.all("UPDATE workers SET link_lost_at = now() - interval '2 hours' WHERE link_lost_at IS NOT NULL")
        assert steps.queue.watch_workers(confirm=timedelta(hours=1)).without == 0

    steps.reclaim()
    assert steps.queue.watch_workers(confirm=timedelta(0)).without == 0
    assert rows.value("SELECT count(*) FROM workers WHERE stop_reason = 'lost'") == 4


def test_a_hand_over_that_cannot_be_released_delays_no_other(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    refused, other = rows.add_job(prompt="refuse me"), rows.add_job()
    for claim in steps.claim():
        steps.expire(claim.job_id)
    rows.all(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
           CREATE TRIGGER refuse BEFORE UPDATE ON coding_jobs FOR EACH ROW
           WHEN (NEW.prompt = 'refuse me' AND NEW.status = 'pending') EXECUTE FUNCTION refuse()"""
    )
    try:
        assert steps.reclaim() == {other: ("released", "pending")}
    finally:
        rows.all("DROP FUNCTION refuse CASCADE")
    eventually(lambda: steps.reclaim() == {refused: ("released", "pending")}, seconds=3)


def test_locked_rows_of_upkeep_do_not_prevent_a_reclaim(steps: Steps, rows: Rows, dsn: str, link: Link) -> None:
    ended, worker = steps.add_worker(), steps.add_worker()
    rows.all("UPDATE workers SET stopped_at = now() - interval '8 days' WHERE id = %s", [ended])
    crashed = rows.add_job()
    steps.started(worker)
    steps.book.stop(worker)
    elsewhere = rows.add_job(actor="build_report")
    steps.add_worker(actors={"build_report": {"queue": "reports"}})
    recovery = Recovery(link, lambda: None, lease_seconds=30)
    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM workers WHERE id = %s FOR UPDATE", [ended])
        somebody.execute("SELECT FROM coding_jobs WHERE id = %s FOR UPDATE", [elsewhere])
        with suppress(PostgresBusyError):
            recovery.step()

        assert rows.outcomes(crashed) == ["crashed"]


def test_a_sweep_skips_a_row_that_another_transaction_changes(steps: Steps, rows: Rows, dsn: str) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    held = steps.started(worker)
    steps.silence(worker)
    other = Steps(dsn, rows)
    with other.link.connection.transaction():
        assert other.complete(held)  # not committed yet
        assert steps.reclaim() == {}
    other.close()

    assert steps.reclaim() == {}
    assert rows.outcomes(job_id) == ["completed"]


def test_one_sweep_runs_at_a_time(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    steps.silence(worker)
    with rows.connection.transaction():
        rows.all("SELECT pg_advisory_xact_lock(hashtext('mobvibe.reclaim'))")
        assert steps.reclaim() == {}

    assert job_id in steps.reclaim()

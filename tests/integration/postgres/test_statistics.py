"""Counts that triggers maintain equal a real count, whatever happens to jobs; and the upkeep of tables."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import LiteralString

import psycopg

from bridge.dispatch.upkeep import Upkeep
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

COUNTED = """
    SELECT queue, count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'processing') AS processing,
           count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled
    FROM coding_jobs GROUP BY queue ORDER BY queue"""


KEPT = "SELECT queue, pending, processing, completed, failed, cancelled FROM queue_counts() ORDER BY queue"


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def execute(dsn: str, statement: LiteralString) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def check_counts(rows: Rows) -> None:
    assert rows.all(KEPT) == rows.all(COUNTED)


def test_counts_follow_a_job_through_its_life(steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()
    first, _, third, _ = [rows.add_job() for _ in range(4)]
    rows.add_job(queue="reports", status="failed")
    check_counts(rows)
    held = steps.start(worker, steps.claim(1)[0])
    assert held is not None
    check_counts(rows)
    steps.complete(held)
    steps.queue.cancel_job(third)
    check_counts(rows)
    steps.queue.retry_job(first)
    rows.all("UPDATE coding_jobs SET queue = 'reports' WHERE id = %s", [first])
    check_counts(rows)
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [third])
    check_counts(rows)

    assert steps.queue.fold_job_counts(limit=1000) > 0
    check_counts(rows)
    assert rows.value("SELECT count(*) FROM job_counts") == 2
    assert rows.value("SELECT sum(ever_completed) FROM job_counts") == 1


def test_one_statement_may_insert_jobs_of_several_queues_and_statuses(rows: Rows) -> None:
    rows.all("""
        INSERT INTO coding_jobs (queue, status)
        VALUES ('coding', 'pending'), ('coding', 'pending'), ('reports', 'pending'), ('reports', 'processing'),
               ('reports', 'completed'), ('reports', 'failed'), ('reports', 'cancelled')""")
    check_counts(rows)

    for status in ("pending", "completed", "cancelled"):
        rows.add_job(queue="reports", status=status)
        check_counts(rows)
    assert rows.value("SELECT sum(ever_completed) FROM job_counts") == 2


def test_a_rollback_does_not_change_the_counts(rows: Rows) -> None:
    rows.add_job()
    with psycopg.connect(rows.connection.info.dsn, password=rows.connection.info.password) as other:
        other.execute("INSERT INTO coding_jobs DEFAULT VALUES")
        other.rollback()

    check_counts(rows)


def test_truncate_clears_the_counts_and_a_recount_corrects_changes_without_triggers(rows: Rows) -> None:
    rows.add_job()
    rows.all("TRUNCATE coding_jobs")
    assert rows.all(KEPT) == []

    rows.all("SET session_replication_role = replica")
    rows.add_job(status="completed")
    rows.all("SET session_replication_role = DEFAULT")
    rows.all("SELECT recount_jobs()")
    check_counts(rows)


def test_a_recount_waits_for_a_running_fold(steps: Steps, rows: Rows, dsn: str) -> None:
    for _ in range(5):
        rows.add_job()
    with ThreadPoolExecutor(1) as other, steps.link.connection.transaction():
        assert steps.queue.fold_job_counts(limit=1000) == 4
        recount = other.submit(execute, dsn, "SELECT recount_jobs()")
        eventually(lambda: rows.value(WAITING) > 0 or recount.done(), what="the recount to wait")
    recount.result(10)

    check_counts(rows)


def test_old_finished_jobs_are_pruned_with_their_ledger_and_no_others(steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()
    old, young, _ = [rows.add_job() for _ in range(3)]
    for claim in steps.claim(2):
        held = steps.start(worker, claim)
        assert held is not None
        steps.complete(held)
    rows.all("UPDATE coding_jobs SET completed_at = completed_at - interval '8 days' WHERE id = %s", [old])

    Upkeep(steps.queue, retention=None).step()
    assert rows.value("SELECT count(*) FROM coding_jobs") == 3
    Upkeep(steps.queue, retention=timedelta(days=7)).step()

    assert rows.value("SELECT count(*) FROM coding_jobs") == 2
    assert rows.attempts(old) == []
    assert rows.outcomes(young) == ["completed"]
    assert rows.value("SELECT sum(ever_completed) FROM job_counts") == 2
    check_counts(rows)


def test_who_holds_back_vacuum_is_named(steps: Steps, rows: Rows) -> None:
    info = rows.connection.info
    with psycopg.connect(info.dsn, password=info.password, application_name="the holder") as other:
        other.execute("SELECT txid_current()")
        holder = steps.queue.vacuum_holder(0.0)
        other.rollback()

    assert holder is not None
    assert "the holder" in holder.name

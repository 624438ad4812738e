"""Bulk operations in tests: planned, started and run to their end."""

from typing import Any

from bridge.postgres import bulk
from bridge.postgres.job_filter import parse_filter
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.postgres.queue_rows import BulkBatch
from tests.support.rows import Rows

ACTED = "SELECT job_id FROM job_audit WHERE bulk_operation = %s ORDER BY job_id"
BATCHES_MOST = 1_000  # of an operation of a test: one that never ends fails at once


def planned(link: Link, action: str, jobs: str) -> int:
    return bulk.plan(link.call, bulk.Action(action), parse_filter(jobs), by="ann")


def started(link: Link, action: str, jobs: str, rate: int | None = None) -> int:
    operation = planned(link, action, jobs)
    assert bulk.start(link.call, operation, by="ann", reason="fixed", rate=rate) == "running"
    return operation


def run(link: Link, *, limit: int = 10, looked_at: int = 25) -> list[BulkBatch]:
    """Act on batches until none is due."""
    batches = []
    while (batch := JobQueue(link).run_bulk_batch(limit=limit, looked_at=looked_at)).id is not None:
        batches.append(batch)
        assert len(batches) < BATCHES_MOST, "no end of batches"
    return batches


def shown(link: Link, operation: int) -> dict[str, Any]:
    found = bulk.show(link.call, operation)
    assert found is not None
    return found


def add_failed(rows: Rows, number: int, error: str = "boom", queue: str = "tests") -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, completed_at, error_message, queue, actor, retry_count, max_retries)"
        " SELECT 'failed', now(), %s, %s, 'build', 3, 3 FROM generate_series(1, %s)",
        [error, queue, number],
    )

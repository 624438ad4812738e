"""Which indexes the hot statements read, and how much of them, however many finished jobs are in the table.

Postgres counts the entries read from each index, and the rows read without one. A plan that begins to depend on
finished jobs would show here as another index, or as reads that grow.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from bridge.job import Claim, Completed, Failed, Released, Status
from bridge.postgres import bulk, job_list
from bridge.postgres.attempts import AttemptKey
from bridge.postgres.job_filter import JobFilter
from bridge.postgres.queue_rows import Span
from tests.support.rows import Rows
from tests.support.sized import by_size, sized
from tests.support.steps import LEASE, Steps

LIVE = 40
MOST_READ = 20 * LIVE  # of any index, in one step: entries of rows changed just before may still be there
KEY, READY, WAITING, WORK = "coding_jobs_pkey", "jobs_ready", "jobs_scheduled", "jobs_processing"
OLDEST, FINISHED, FAILED, SUSPECT = "jobs_oldest", "jobs_ended", "jobs_failed", "jobs_suspect"

READ = """
    SELECT indexrelname AS name, idx_tup_read AS read FROM pg_stat_user_indexes WHERE relname = 'coding_jobs'
    UNION ALL
    SELECT 'no index', seq_tup_read FROM pg_stat_user_tables WHERE relname = 'coding_jobs'"""
FILL = """
    INSERT INTO coding_jobs (status, completed_at, started_at, fence)
    SELECT 'completed', now() - interval '1 hour', now() - interval '1 hour', 1 FROM generate_series(1, %s)"""

LISTED: dict[str | None, set[str]] = {
    None: {OLDEST, WORK, FINISHED}, "pending": {OLDEST}, "processing": {WORK}, "completed": {FINISHED},
    "failed": {FAILED}, "cancelled": {FAILED},
}  # fmt: skip


class Meter:
    """Counts what a step reads from the job table, by index."""

    def __init__(self, steps: Steps, rows: Rows) -> None:
        self._steps = steps
        self._rows = rows

    def read(self) -> dict[str, int]:
        # A session reports its counts when it is idle, at most once a second; this makes both report them at once.
        for execute in (self._steps.link.connection.execute, self._rows.all):
            execute("SELECT pg_stat_force_next_flush()")
            execute("SELECT 1")
        return {row["name"]: row["read"] or 0 for row in self._rows.all(READ)}

    def during(self, step: Callable[[], object]) -> dict[str, int]:
        before = self.read()
        step()
        return {name: count - before[name] for name, count in self.read().items() if count != before[name]}


def measured_calls(steps: Steps, rows: Rows) -> Iterator[tuple[str, set[str], Callable[[], object]]]:
    """Each hot statement, run on some jobs, with the indexes that it may read."""
    worker = steps.add_worker(slots=LIVE)
    rows.all("INSERT INTO coding_jobs (max_retries, priority) SELECT 1, 1 FROM generate_series(1, %s)", [LIVE])
    held: list[AttemptKey] = []

    def start() -> None:
        held[:] = [AttemptKey(claim.job_id, claim.fence, uuid4()) for claim in claims]
        assert len(steps.book.start(worker, held)) == LIVE

    def claim() -> None:
        claims[:] = steps.claim(LIVE)
        assert len(claims) == LIVE

    def claim_apart() -> None:
        rows.all("UPDATE coding_jobs SET status = 'pending' WHERE status = 'processing'")
        skip = [uuid4() for _ in range(1000)]
        spans = [Span("coding", LIVE)]
        claims[:], refused = steps.queue.claim_jobs_apart("bridge", limit=LIVE, lease=LEASE, spans=spans, skip=skip)
        assert (len(claims), refused) == (LIVE, [])

    claims: list[Claim] = []
    yield "queue_room", {WORK}, steps.queue.queue_room
    yield "claim_jobs", {READY, KEY, WAITING, WORK}, claim
    yield "claim_jobs_apart", {READY, KEY, WAITING, WORK}, claim_apart
    yield "start_jobs", {KEY}, start
    yield "heartbeat_worker", {KEY, WORK}, lambda: steps.book.heartbeat(worker, LEASE, held)
    yield "list_workers", {WORK}, lambda: steps.link.call("list_workers")
    yield "reclaim_jobs", {KEY, WORK}, steps.reclaim
    yield "complete_jobs", {KEY}, lambda: steps.book.complete([(one, Completed(None)) for one in held[:20]])
    yield "fail_jobs", {KEY}, lambda: steps.book.fail([(one, Failed("x")) for one in held[20:30]])
    yield "release_jobs", {KEY}, lambda: steps.book.release([(one, Released()) for one in held[30:]])
    yield "get_queue_stats", {OLDEST}, steps.queue.get_queue_stats
    yield "next_due", {WAITING}, steps.queue.seconds_to_next_due
    yield "claim_next_job", {READY, OLDEST, KEY, WAITING}, steps.queue.claim_next_job
    yield "claim_suspects", {SUSPECT, KEY, WORK}, lambda: steps.queue.claim_suspects("bridge", lease=LEASE)
    for status, indexes in LISTED.items():
        yield f"list_jobs {status}", {*indexes, KEY}, partial(list_jobs, steps, status)
    yield "list_jobs of an actor", {OLDEST, WORK, FINISHED, KEY}, partial(list_jobs, steps, None, "nobody")
    chosen = tuple(key.job_id for key in held)
    yield "list_chosen_jobs", {KEY}, lambda: list_chosen(steps, chosen)
    yield "a bulk operation on chosen jobs", {KEY}, lambda: retry(steps, chosen)
    yield "show_job", {KEY}, lambda: steps.link.call("show_job", {"id": claims[0].job_id})
    yield "show_attempts", {KEY}, lambda: steps.link.call("show_attempts", {"id": claims[0].job_id, "error_most": 9})
    yield "prune_jobs", {FINISHED, KEY}, lambda: steps.queue.prune_jobs(timedelta(minutes=30), limit=LIVE)


def list_jobs(steps: Steps, status: str | None, actor: str | None = None) -> None:
    meant = JobFilter(status=Status(status) if status else None, actor=actor)
    job_list.list_jobs(steps.link.call, meant, limit=20, error_most=9, searched=4 * LIVE)


def list_chosen(steps: Steps, ids: tuple[UUID, ...]) -> None:
    assert len(job_list.list_jobs(steps.link.call, JobFilter(id=ids), limit=LIVE, error_most=9).jobs) == LIVE


def retry(steps: Steps, ids: tuple[UUID, ...]) -> None:
    operation = bulk.plan(steps.link.call, bulk.Action.RETRY, JobFilter(id=ids), by="ann")
    bulk.start(steps.link.call, operation, by="ann", reason=None, rate=None)
    assert steps.queue.run_bulk_batch(limit=1000, looked_at=10_000).state == "done"


def check(steps: Steps, rows: Rows) -> None:
    meter = Meter(steps, rows)
    for name, allowed, step in measured_calls(steps, rows):
        read = meter.during(step)
        assert set(read) <= allowed, f"{name} read {read}"
        assert all(count <= MOST_READ for count in read.values()), f"{name} read {read}"


@sized
@pytest.mark.timeout(300)
def test_hot_statements_read_the_same_at_any_size(steps: Steps, rows: Rows) -> None:
    """With none, one and two hundred thousand (in full: two million) finished rows, with old and with fresh statistics,
    and with a backlog behind the jobs that are taken.
    """
    rows.all("INSERT INTO coding_jobs (priority) SELECT -1 FROM generate_series(1, 50000)")
    check(steps, rows)
    for finished in (100_000, by_size(100_000, 1_900_000)):
        rows.all(FILL, [finished])
        check(steps, rows)
        rows.all("VACUUM ANALYZE coding_jobs")
        check(steps, rows)

"""The steps of a bridge and of a worker, one call each, without their processes."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from bridge.job import Cancelled, Claim, Completed, Failed, Released, Status
from bridge.postgres.attempts import AttemptKey, Attempts, Verdict
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.postgres.queue_rows import Span
from tests.support.rows import Rows

LEASE = timedelta(seconds=30)
CODING = {"run_coding_session": {"queue": "coding", "max_retries": 3}}


class Steps:
    def __init__(self, dsn: str, rows: Rows) -> None:
        self.link = Link(dsn, "steps")
        self.queue = JobQueue(self.link)
        self.book = Attempts(self.link)
        self.rows = rows

    def close(self) -> None:
        self.link.close()

    def add_worker(
        self, *, slots: int = 10, queues: Sequence[str] | None = None, actors: Mapping[str, Any] = CODING
    ) -> UUID:
        worker = uuid4()
        listens = queues if queues is not None else sorted({card["queue"] for card in actors.values()})
        self.book.register(
            worker, name=f"host:{worker.hex[:4]}", slots=slots, queues=listens, actors=actors, version="1", lease=LEASE
        )
        return worker

    def claim(self, limit: int = 100, ahead: Mapping[str, int] | None = None) -> list[Claim]:
        room = {one.queue: one.free + (ahead or {}).get(one.queue, 0) for one in self.queue.queue_room()}
        spans = [Span(queue, jobs) for queue, jobs in room.items()]
        return self.queue.claim_jobs("bridge", limit=limit, lease=LEASE, spans=spans)

    def claim_one(self) -> Claim:
        (claim,) = self.claim()
        return claim

    def start(self, worker: UUID, claim: Claim) -> AttemptKey | None:
        held = AttemptKey(claim.job_id, claim.fence, uuid4())
        assert held.exec is not None
        return held if held.exec in self.book.start(worker, [held]) else None

    def started(self, worker: UUID | None = None) -> AttemptKey:
        """Claim and start the next job."""
        held = self.start(worker or self.add_worker(), self.claim_one())
        assert held is not None
        return held

    def complete(self, held: AttemptKey, result: str | None = None) -> bool:
        return held.job_id in self.book.complete([(held, Completed(result))])

    def fail(
        self, held: AttemptKey, error: str = "boom", *, final: bool = False, delay: timedelta | None = None
    ) -> Status | None:
        return self.book.fail([(held, Failed(error, final, delay))]).get(held.job_id)

    def call_off(self, held: AttemptKey, error: str = "skipped") -> bool:
        return held.job_id in self.book.cancel([(held, Cancelled(error))])

    def release(self, held: AttemptKey, delay: timedelta | None = None) -> bool:
        return held.job_id in self.book.release([(held, Released(delay))])

    def heartbeat(self, worker: UUID, *held: AttemptKey) -> dict[UUID | None, Verdict] | None:
        verdicts = self.book.heartbeat(worker, LEASE, held)
        return None if verdicts is None else {attempt.exec: verdict for verdict, attempt in verdicts}

    def reclaim(self) -> dict[UUID, tuple[str, str]]:
        reclaimed = self.queue.reclaim_jobs(limit=100, grace=timedelta(0))
        return {job.job_id: (job.outcome.value, job.status.value) for job in reclaimed}

    # Time passes.

    def silence(self, worker: UUID) -> None:
        """Let the worker's lease run out."""
        self.rows.all("UPDATE workers SET lease_expires_at = clock_timestamp() - interval '1s' WHERE id = %s", [worker])

    def expire(self, job_id: UUID) -> None:
        """Let the lease of the hand-over run out."""
        self.rows.all(
            "UPDATE coding_jobs SET lease_expires_at = clock_timestamp() - interval '1s' WHERE id = %s", [job_id]
        )

    def make_due(self, job_id: UUID) -> None:
        self.rows.all("UPDATE coding_jobs SET run_at = clock_timestamp() - interval '1s' WHERE id = %s", [job_id])

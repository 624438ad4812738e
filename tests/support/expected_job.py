"""The expected effect of each call on a job's row, written in plain Python."""

from collections.abc import Container
from dataclasses import dataclass, field
from uuid import UUID

from bridge.postgres.attempts import AttemptKey

TERMINAL = ("completed", "failed", "cancelled")
NODE = "claim_next_job"


@dataclass
class ExpectedJob:
    id: UUID
    priority: int
    age: int
    max_retries: int
    status: str = "pending"
    fence: int = 0
    exec: UUID | None = None
    worker: UUID | None = None
    retry_count: int = 0
    due: bool = True
    expired: bool = False
    marked: bool = False
    taken_by: str | None = None
    batch: int = 0  # the number of the call that claimed it: suspects that are claimed together run in one batch
    crashes: int = 0
    releases: int = 0  # in a row, with no retry spent
    session: str | None = None
    ledger: list[str] = field(default_factory=list)

    @property
    def rank(self) -> tuple[int, int]:
        return (-self.priority, self.age)

    @property
    def can_be_claimed(self) -> bool:
        return self.status == "pending" and self.due

    @property
    def is_changed_by_its_id(self) -> bool:
        """Taken by `claim_next_job()`, or by hand: nobody knows a fence for it."""
        return self.status == "processing" and self.exec is None and self.taken_by in (None, NODE)

    def is_held_by(self, held: AttemptKey) -> bool:
        return self.status == "processing" and self.fence == held.fence and self.exec == held.exec

    def was_handed_over(self, fence: int) -> bool:
        """That attempt waits for the worker that starts it."""
        return self.status == "processing" and self.fence == fence and self.exec is None and self.taken_by == "bridge"

    @property
    def can_run_beside_others(self) -> bool:
        return self.can_be_claimed and not self.must_be_isolated

    @property
    def must_be_isolated(self) -> bool:
        """Two workers were lost that ran it, or it ended one; or one was lost, and this is its last attempt."""
        return self.crashes > 1 or (self.crashes == 1 and self.retry_count + 1 >= self.max_retries)

    @property
    def is_suspect(self) -> bool:
        """It may be claimed to run isolated."""
        return self.can_be_claimed and self.must_be_isolated

    @property
    def is_isolated(self) -> bool:
        """It runs isolated, or is handed over to do so."""
        return self.status == "processing" and self.must_be_isolated and self.taken_by == "bridge"

    def claim(self, by: str | None, batch: int = 0) -> None:
        self.batch = batch
        self.status, self.fence, self.exec, self.worker = "processing", self.fence + 1, None, None
        self.taken_by, self.expired = by, False
        if by is not None:  # a claim by hand keeps the mark of an earlier cancel, if any
            self.marked = False

    def start(self, held: AttemptKey, worker: UUID) -> None:
        self.exec, self.worker = held.exec, worker
        self._settle("active")

    def complete(self) -> None:
        self._end("completed", "completed")

    def fail(self, outcome: str, *, final: bool = False) -> None:
        self.retry_count += 1
        self.releases = 0
        if self.marked:
            self._end("cancelled", "cancelled")
        elif self.retry_count < self.max_retries and not final:
            self.due = False
            self._end("pending", outcome)
        else:
            self._end("failed", outcome)

    def release(self) -> None:
        if self.marked:
            self._end("cancelled", "cancelled")
        else:
            self.releases += 1
            self.due = self.releases <= 3
            self._end("pending", "released")

    def call_off(self) -> None:
        self._end("cancelled", "cancelled")

    def cancel(self) -> str:
        if self.status == "processing" and self.exec is not None:
            self.marked = True
        elif self.status == "processing":
            self.marked = True
            self._end("cancelled", "cancelled")
        elif self.status == "pending":
            self.marked, self.status = True, "cancelled"
            self._settle("failed")
        return self.status

    def retry(self) -> str:
        if self.status != "processing":
            if self.status in TERMINAL:
                self.retry_count = 0
            self.status, self.marked, self.due, self.releases = "pending", False, True, 0
        return self.status

    def reclaim(self, alive: Container[UUID | None], *, is_alone: bool) -> tuple[str, str] | None:
        """Outcome and status when a sweep takes it back; None when it must not. `is_alone`: in its worker."""
        is_silent = self.expired if self.exec is None else self.worker not in alive
        if self.status != "processing" or not is_silent:
            return None
        if self.exec is None and self.taken_by not in (None, NODE):
            self.release()
        elif self.exec is None:
            self.fail("reclaimed")
        else:
            self.fail("crashed")
            self.due = self.due or self.crashes == 0  # a first crash has no backoff
            self.crashes += 2 if is_alone else 1
        return self.ledger[-1], self.status

    def _end(self, status: str, outcome: str) -> None:
        self.status = status
        self.expired = False
        self.ledger.append(outcome)
        if status != "pending":
            self._settle("completed" if status == "completed" else "failed")

    def _settle(self, session: str) -> None:
        if self.session is not None:
            self.session = session

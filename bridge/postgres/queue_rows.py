"""Types of the rows that Postgres returns about queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from bridge.job import Outcome, Status

HELD_SECONDS = 300.0  # an older transaction is not just a slow query
LOWEST_PRIORITY, HIGHEST_PRIORITY = -(2**31), 2**31 - 1  # of Postgres's integer


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job as the Node worker's `claimNextJob()` gave it."""

    job_id: UUID
    session_id: UUID | None
    prompt: str | None
    priority: int


class HandOvers(NamedTuple):
    """Hand-overs of a minute, which begins at these Unix seconds, that took a time of the same bucket."""

    minute: int
    queue: str
    bucket: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pending job whose row Postgres refuses to change. `reason` is the first line of the error."""

    job_id: UUID
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Indexed:
    """One step of the index of words: how many jobs it indexed, and whether more are left."""

    indexed: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class Pruned:
    """One step of retention: how many jobs it deleted, and how many Postgres refused to delete (`kept_by` says why).

    `last_at` and `last_id` say where it ended; `more`: there may be jobs left to delete.
    """

    pruned: int = 0
    kept: int = 0
    kept_by: str | None = None
    last_at: str | None = None
    last_id: UUID | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Jobs by status; `oldest_pending_age` is None when nothing is pending."""

    pending_count: int
    processing_count: int
    completed_count: int
    failed_count: int
    oldest_pending_age: timedelta | None

    @property
    def success_rate(self) -> float | None:
        """Completed among finished, in per cent; None before anything finished."""
        finished = self.completed_count + self.failed_count
        return 100 * self.completed_count / finished if finished else None


@dataclass(frozen=True, slots=True)
class Reclaimed:
    job_id: UUID
    outcome: Outcome
    status: Status


@dataclass(frozen=True, slots=True)
class StuckJobs:
    """Pending jobs that no live worker could run in their queue, and the queue that they were moved to, if any."""

    actor: str
    queue: str
    jobs: int
    routed_to: str | None


@dataclass(frozen=True, slots=True)
class VacuumHolder:
    """Who keeps vacuum from removing dead rows: a session, a prepared transaction or a replication slot.

    `seconds` is how long already; None where Postgres does not say.
    """

    kind: str
    name: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class QueueCapacity:
    """A queue as counted. `free`: slots without a job, less the jobs handed over and not started; may be negative.

    `slots` are all slots of the live workers that serve it; `shared_with` names the queues that the same workers
    serve, itself included. `lowest` is the lowest priority among the jobs on their way.
    """

    queue: str
    free: int
    slots: int
    shared_with: Sequence[str]
    lowest: int | None = None


@dataclass(frozen=True, slots=True)
class WatchedWorkers:
    """How many are live, as of before the check; and how many of these had no link, and are not lost yet."""

    without: int = 0
    live: int = 0


@dataclass(frozen=True, slots=True)
class BulkBatch:
    """What was done of a bulk operation; `id` None: nothing, since none is due or another bridge is at work.

    `refusal`: why the database refused a job, the first time in an operation. `wait`: seconds until a batch is due;
    None if no operation is under way.
    """

    id: int | None
    action: str | None
    state: str | None
    done: int
    skipped: int
    refusal: str | None
    wait: float | None


class Span(NamedTuple):
    """Of one queue: at most `limit` jobs, of priorities from `low` to `high`, behind the place `after`."""

    queue: str
    limit: int
    low: int = LOWEST_PRIORITY
    high: int = HIGHEST_PRIORITY
    after: int = -1

    def from_priority(self, floor: int) -> "Span":
        """The same without lower priorities; with an empty one it holds nothing."""
        return self._replace(low=max(self.low, floor))


def hours_minutes_seconds(age: timedelta | None) -> str | None:
    """HH:MM:SS, with more than two digits of hours if needed; None stays None."""
    if age is None:
        return None
    seconds = max(0, int(age.total_seconds()))
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

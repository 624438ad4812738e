"""The words of the trade: a job, how it may stand, how an attempt may end. No I/O here."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID


class Status(StrEnum):
    """Where a job's row stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """How an attempt ended, as the ledger `job_attempts` records it."""

    COMPLETED = "completed"
    FAILED = "failed"
    RELEASED = "released"
    RECLAIMED = "reclaimed"
    CRASHED = "crashed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Claim:
    """A job taken for hand-over. A Redis message says its first four fields at most.

    `isolated`: a worker was lost that ran it, so that it runs alone. `isolated_until_end`: however long it runs.
    """

    job_id: UUID
    fence: int
    queue: str
    actor: str
    priority: int = 0
    seq: int = 0
    isolated: bool = False
    isolated_until_end: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pending job whose row Postgres will not change, with the first line of why not."""

    job_id: UUID
    actor: str
    reason: str


def _nobody_cancels() -> bool:
    """A job built by hand stays whose it is."""
    return False


def _emit_nowhere(event_type: str, data: Mapping[str, Any]) -> None:
    """A job built by hand, in a test, streams to nobody."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an actor sees of its job. `attempt` counts from 1; `fence` orders the job's effects.

    The text form names the job only: prompts and payloads never reach a log by accident.
    """

    id: UUID
    session_id: UUID | None = field(default=None, repr=False)
    prompt: str | None = field(default=None, repr=False)
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    priority: int = field(default=0, repr=False)
    attempt: int = 1
    fence: int = 1
    _emit: Callable[[str, Mapping[str, Any]], None] = field(default=_emit_nowhere, repr=False, compare=False)
    _is_cancelled: Callable[[], bool] = field(default=_nobody_cancels, repr=False, compare=False)

    @property
    def cancelled(self) -> bool:
        """True once the job was cancelled, or this attempt is no longer its own: nothing it does counts any more.

        The actor is interrupted by an exception besides. This is for code that an exception does not reach, such
        as threads of its own.
        """
        return self._is_cancelled()

    def emit(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Append an event to the job's session, in order, while the job runs.

        Returns at once; the event is stored in groups, and only while this attempt is still the job's
        own. A job without a session has no stream: the event is dropped. Raises PayloadError for data
        that JSON cannot hold.
        """
        self._emit(event_type, data)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of one attempt, as the start call returned it. `is_last`: the job has no other one left."""

    job: Job
    exec: UUID
    queue: str
    actor: str
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Completed:
    result: str | None  # JSON text
    dropped: str | None = None  # why the result was left out


@dataclass(frozen=True, slots=True)
class Failed:
    error: str
    final: bool = False
    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """Handed back unfinished: no retry is spent. A delay keeps it from coming straight back.

    The database waits longer where a job is handed back again and again.
    """

    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Called off where it ran, such as by a middleware that skipped it: there is no further attempt."""

    error: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many jobs were deleted, how many refused (`kept_by` says why), where it ended, whether more may follow."""

    pruned: int = 0
    kept: int = 0
    kept_by: str | None = None
    last_at: str | None = None
    last_id: UUID | None = None
    more: bool = False


Report = Completed | Failed | Released | Cancelled

_current: ContextVar[Job | None] = ContextVar("mobvibe_current_job", default=None)


def current_job() -> Job:
    """The job whose actor is running here, in sync and async actors alike.

    Raises RuntimeError outside of one.
    """
    job = _current.get()
    if job is None:
        raise RuntimeError("no job is running here: current_job() works inside an actor only")
    return job


def set_current_job(job: Job | None) -> None:
    _current.set(job)


@contextmanager
def running_as(job: Job) -> Iterator[Job]:
    """Make `job` the current one for a while: for tests of code that calls `current_job()`."""
    token = _current.set(job)
    try:
        yield job
    finally:
        _current.reset(token)

"""The types of the domain: a job, its statuses, and how an attempt can end. No I/O here."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID


class Status(StrEnum):
    """The status of a job, as in `coding_jobs.status`."""

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
    """A job claimed for hand-over. A Redis message carries at most its first four fields.

    `isolated`: it must run with no other job in its worker process, since an earlier process died while it ran.
    `isolated_until_end`: it stays isolated until it ends, however long that takes.
    """

    job_id: UUID
    fence: int
    queue: str
    actor: str
    priority: int = 0
    seq: int = 0
    isolated: bool = False
    isolated_until_end: bool = False


def _never_cancelled() -> bool:
    """For a job that a test constructs."""
    return False


def drop_event(event_type: str, data: Mapping[str, Any]) -> None:
    """For a job without a session, and for one that a test constructs."""


def _nothing_waits(timeout_seconds: float) -> None:
    """For a job that a test constructs."""


def _never_interrupted(_: Callable[[], object]) -> AbstractContextManager[None]:
    """For a job that a test constructs."""
    return nullcontext()


_FLUSH_SECONDS = 30.0  # longer than a failover of Postgres mostly takes


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its actor sees it. `attempt` counts from 1.

    `fence` grows with each attempt: a system that the job writes to can refuse writes of an older attempt.
    The text form shows only id, attempt and fence, so that no prompt or payload gets into a log by accident.
    """

    id: UUID
    session_id: UUID | None = field(default=None, repr=False)
    prompt: str | None = field(default=None, repr=False)
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    priority: int = field(default=0, repr=False)
    attempt: int = 1
    fence: int = 1
    _emit: Callable[[str, Mapping[str, Any]], None] = field(default=drop_event, repr=False, compare=False)
    _is_cancelled: Callable[[], bool] = field(default=_never_cancelled, repr=False, compare=False)
    _flush: Callable[[float], None] = field(default=_nothing_waits, repr=False, compare=False)
    _interruptible: Callable[[Callable[[], object]], AbstractContextManager[None]] = field(
        default=_never_interrupted, repr=False, compare=False
    )

    @property
    def cancelled(self) -> bool:
        """True once the job was cancelled, or another attempt has replaced this one: no result is stored any more.

        The actor is also interrupted by an exception. Ask this property in code that the exception does not reach,
        such as the actor's own threads.
        """
        return self._is_cancelled()

    def emit(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Append an event to the job's session, while the job runs. Events keep their order.

        Returns at once: events are written in groups, and only while this attempt is the current one. A job
        without a session has no stream, so the event is dropped. Raises PayloadError for data that JSON cannot hold.
        """
        self._emit(event_type, data)

    def flush(self, timeout: float = _FLUSH_SECONDS) -> None:
        """Return when all that was emitted before is stored. `timeout` is in seconds.

        Raises NotOursError when this attempt is not the job's current one any more: then it must write nothing more,
        anywhere. Raises PostgresUnavailableError (bridge.errors) when Postgres has not taken the events in time; they
        are still stored when it is back. An event that Postgres refuses for its data is logged, and not waited for.

        In an async actor: `await asyncio.to_thread(job.flush)`.
        """
        self._flush(timeout)

    def interruptible(self, end: Callable[[], object]) -> AbstractContextManager[None]:
        """A `with` block around a call that blocks where an interrupt does not reach it, such as a read of a socket.

        When the job is cancelled, its attempt lost, its time limit exceeded, or its worker stops, `end()` is called
        from another thread, within 0.3 s of a cancel: it must make the call return, as by a shutdown of the socket.
        Then the usual interrupt is raised here. `end` may be called when the call has just returned by itself, and
        again while the block goes on. What it raises is logged.
        """
        return self._interruptible(end)


class Attempt(NamedTuple):
    """One run of one attempt, as the start call returned it: the job's row, from which its `Job` is made.

    `number` counts from 1. `is_last`: no attempt is left after this one.
    """

    job_id: UUID
    session_id: UUID | None
    prompt: str | None
    payload: Mapping[str, Any]
    priority: int
    number: int
    is_last: bool
    queue: str
    actor: str

    def __repr__(self) -> str:
        return f"Attempt(job_id={self.job_id}, number={self.number})"  # as Job: no prompt and no payload


@dataclass(frozen=True, slots=True)
class Completed:
    result: str | None  # JSON text
    dropped: str | None = None  # why the result is not stored


@dataclass(frozen=True, slots=True)
class Failed:
    error: str
    final: bool = False
    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """Handed back unfinished; no retry is spent. `delay` is the wait before it may be claimed again.

    The database waits longer for a job that is handed back many times.
    """

    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Cancelled in its worker, for example by a middleware that skipped it: there is no further attempt."""

    error: str


Report = Completed | Failed | Released | Cancelled

_current: ContextVar[Job | None] = ContextVar("mobvibe_current_job", default=None)


def current_job() -> Job:
    """The job of the actor that calls this, sync or async. Raises RuntimeError outside an actor."""
    job = _current.get()
    if job is None:
        raise RuntimeError("no job is running here: current_job() works inside an actor only")
    return job


def set_current_job(job: Job | None) -> None:
    _current.set(job)


@contextmanager
def running_as(job: Job) -> Iterator[Job]:
    """Make `job` the current one inside the `with`: for tests of code that calls `current_job()`."""
    token = _current.set(job)
    try:
        yield job
    finally:
        _current.reset(token)

"""The runs of this worker process: each from the start of its attempt until its report is settled.

An actor can be interrupted (interrupts.py) only between `enter` and `leave`: before and after, the thread is in the
middle of our own or Dramatiq's work.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from uuid import UUID

from dramatiq.middleware import Interrupt

from bridge.job import Attempt
from bridge.logs.fields import LogFields
from bridge.postgres.attempts import AttemptKey
from bridge.runtime.clock import now
from bridge.transport.intake import JobMessage
from bridge.worker.blocking_calls import BlockingCalls
from bridge.worker.interrupts import (
    JobCancelledError,
    LeaseLostError,
    LeaseOverError,
    clear_interrupt,
    interrupt_thread,
)
from bridge.worker.precedence import Precedence

# The time that an interrupted actor has to clean up before it is interrupted again. Several tries fit into the grace
# after which its process ends (UNRESPONSIVE_SECONDS).
_AGAIN_SECONDS = 5.0
_LIMIT_MARGIN_SECONDS = 2.0  # Dramatiq looks once a second whether a time limit is exceeded


@dataclass(eq=False)
class Run:
    key: AttemptKey
    attempt: Attempt
    began: float = field(default_factory=time.monotonic)
    limit: float = math.inf  # seconds; Dramatiq interrupts an actor that takes longer, once
    thread: int | None = None  # the thread to interrupt, while inside the actor
    interrupt: type[Interrupt] | None = None
    interrupted_at: float = math.inf  # the first time
    last_interrupted_at: float = math.inf  # the last time

    ended: float | None = None
    skipped: tuple[str, BaseException] | None = None  # by the actor itself; and the SkipMessage
    raised_at: TracebackType | None = None  # where the actor raised; a middleware may remove it from the exception
    job_text: str = ""  # the job's id, where its text is known: to make it takes as long as to log it
    has_begun: bool = False  # hooks or the actor run; before that the job waits for a thread
    is_reported: bool = False
    blocking_calls: BlockingCalls = field(default_factory=BlockingCalls)
    _log_fields: LogFields | None = None

    @property
    def is_in_a_thread(self) -> bool:
        """The actor runs, or a middleware's hook around it."""
        return self.has_begun and not self.is_reported

    @property
    def is_cancelled(self) -> bool:
        return self.interrupt in (JobCancelledError, LeaseLostError)

    @property
    def duration(self) -> float:
        """Seconds from the actor's start to its end, or until now."""
        return (self.ended or time.monotonic()) - self.began

    @property
    def log_fields(self) -> LogFields:
        # Not a cached_property: before Python 3.12 it has one lock for all runs, and all threads would wait for it.
        if self._log_fields is not None:
            return self._log_fields
        attempt = self.attempt
        session = {} if attempt.session_id is None else {"sessionId": str(attempt.session_id)}
        self._log_fields = LogFields(
            jobId=self.job_text or str(attempt.job_id), **session,
            fence=self.key.fence, attempt=attempt.number, queue=attempt.queue, actor=attempt.actor,
        )  # fmt: skip
        return self._log_fields


WorkerMessage = JobMessage[AttemptKey, Run]


class Runs:
    """The runs of one worker process by exec, and until when it may begin them. For any thread."""

    def __init__(self, on_urgent: Callable[[str, int], None] = lambda _queue, _priority: None) -> None:
        self._runs: dict[UUID | None, Run] = {}
        self._set_aside: dict[UUID | None, AttemptKey] = {}
        self._lock = threading.Lock()
        self.precedence = Precedence()
        self._on_urgent = on_urgent  # one that was expected began: its queue and priority
        self.lease_ends = math.inf  # by `clock.now()`; this process is not declared lost before

    def add(self, runs: Iterable[Run]) -> None:
        with self._lock:
            for run in runs:
                self._runs[run.key.exec] = run

    def remove(self, execs: Sequence[UUID | None]) -> None:
        with self._lock:
            for exec_ in execs:
                self._runs.pop(exec_, None)
            if self._set_aside:
                for exec_ in execs:
                    self._set_aside.pop(exec_, None)

    def set_aside(self, key: AttemptKey) -> None:
        """The attempt is over, but Postgres refuses its report: it is held until `remove`, and takes no slot."""
        with self._lock:
            self._runs.pop(key.exec, None)
            self._set_aside[key.exec] = key

    def forget_set_aside(self, execs: Iterable[UUID | None]) -> None:
        """These attempts are not ours any more, whatever happens to their reports."""
        with self._lock:
            for exec_ in execs:
                self._set_aside.pop(exec_, None)

    def has(self, exec_: UUID | None) -> bool:
        return exec_ in self._runs

    def holds(self, exec_: UUID | None) -> bool:
        """It runs here, or its report is refused."""
        with self._lock:
            return exec_ in self._runs or exec_ in self._set_aside

    def count_set_aside(self) -> int:
        return len(self._set_aside)

    def all(self) -> list[Run]:
        with self._lock:
            return list(self._runs.values())

    def held_keys(self) -> list[AttemptKey]:
        with self._lock:
            return [*(run.key for run in self._runs.values()), *self._set_aside.values()]

    def enter(self, run: Run) -> None:
        """The actor begins in this thread. An interrupt that came before is raised at once.

        A process that was frozen learns from its next heartbeat that it was declared lost. Until then the end of its
        lease keeps actors from beginning.
        """
        with self._lock:
            run.thread = threading.get_ident()
            run.has_begun = True
            if run.interrupt is None and now() >= self.lease_ends:
                run.interrupt = LeaseOverError
            interrupt = run.interrupt
        if interrupt is not None:
            raise interrupt
        if self.precedence.expected and run.attempt.priority in self.precedence.expected:
            self._on_urgent(run.attempt.queue, run.attempt.priority)

    def leave(self, run: Run) -> None:
        """The actor has ended. An interrupt that this thread has not received yet is too late, and is cleared."""
        while True:
            try:
                with self._lock:
                    run.ended = run.ended or time.monotonic()
                    run.thread = None
                clear_interrupt()
            except Interrupt:
                continue
            return

    def interrupt(self, exec_: UUID | None, reason: type[Interrupt]) -> bool:
        """Interrupt one run; True when its actor runs, and this is its first interrupt.

        The first reason is kept. An actor that swallowed the exception and still runs gets it again.
        """
        moment = time.monotonic()
        with self._lock:
            run = self._runs.get(exec_)
            if run is None:
                return False
            is_first = run.interrupt is None
            if is_first:
                run.interrupt, run.interrupted_at = reason, moment
            elif moment - run.last_interrupted_at < _AGAIN_SECONDS:
                return False
            run.last_interrupted_at = moment
            if run.thread is not None and run.interrupt is not None:
                interrupt_thread(run.thread, run.interrupt)
            is_running = run.thread is not None
        # Only now: a call that returned before could go on as if nothing had happened.
        run.blocking_calls.end(run.log_fields)
        return is_first and is_running

    def end_overdue_calls(self) -> None:
        """End the blocking calls of runs that exceed their time limit: Dramatiq has interrupted them."""
        moment = time.monotonic() - _LIMIT_MARGIN_SECONDS
        for run in self.all():
            if run.blocking_calls and run.began + run.limit < moment:
                run.blocking_calls.end(run.log_fields)

    def unresponsive(self, after_seconds: float) -> list[Run]:
        """Runs that still run `after_seconds` after they were interrupted, or after their time limit."""
        moment = time.monotonic() - after_seconds
        return [
            run
            for run in self.all()
            if run.is_in_a_thread and (run.interrupted_at < moment or run.began + run.limit < moment)
        ]

    def interrupt_all(self, reason: type[Interrupt]) -> int:
        """Interrupt all runs; returns how many actors were running."""
        return sum(self.interrupt(run.key.exec, reason) for run in self.all())

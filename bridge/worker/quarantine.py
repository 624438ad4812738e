"""Runs suspects (jobs that ran in a worker when it was lost) isolated in their process: no other job is lost with one.

The states, and what leads from one to the next:

    OPEN     no suspect is here: jobs start as they come
             → WAITING when suspects come; those that came together are a batch
    WAITING  a batch is here and nothing else is taken; it begins when nothing is in its way
             → RUNNING when its first job was started
             → ASIDE when what is in its way takes long
             → OPEN when none of it is ours any more, or its consumer has given it back
    RUNNING  the batch runs, one job after the other; each is started when the report of the one before is written
             → OPEN when the last one has ended, or is acquitted; a batch that takes long is given back before that
    ASIDE    the batch was given back, for another process to take
             → OPEN after three seconds

A stage may end without a call here: by the clock, or by the end of a run in another thread. `state` shows that at once
(`_lasts`), and the next `sort` opens.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from bridge.postgres.attempts import AttemptKey
from bridge.transport.messages import is_isolated, is_isolated_until_end
from bridge.worker.runs import Run, Runs, WorkerMessage
from bridge.worker.waiting_times import WaitingTimes

TRIAL_SECONDS = 30.0  # as in isolated_until (functions/suspects.sql): most of what kills a worker does so sooner
_ASIDE_SECONDS = 3.0  # a bridge hands over again sooner what is given back
_BATCH_SECONDS = 5.0  # a bridge makes batches of three seconds: one that takes longer keeps other suspects waiting
_FORGOTTEN_SECONDS = 5.0  # a consumer asks again several times a second, so by then it has given the batch back


def is_acquitted(run: Run, *, is_until_end: bool) -> bool:
    """The rule (docs/explanation/states.md), for the worker: a run is acquitted after TRIAL_SECONDS in its actor.

    But not where one more crash would be too many (`is_until_end`): the job crashed twice, or has its last attempt.
    An acquitted run is like any other, so that jobs that take long do not wait for each other's end. So one bad job
    can crash others with it twice: at its first crash and, acquitted, at its second.
    """
    return run.thread is not None and run.duration >= TRIAL_SECONDS and not is_until_end


class State(Enum):
    OPEN = "open"
    WAITING = "waiting"
    RUNNING = "running"
    ASIDE = "aside"


@dataclass(frozen=True)
class _Stage:
    """A state with what belongs to it. It is replaced as a whole: other threads see either the old or the new one."""

    state: State
    since: float = 0.0
    batch: tuple[WorkerMessage, ...] = ()  # not started
    run: Run | None = None
    is_until_end: bool = False  # the run is never acquitted


_OPEN = _Stage(State.OPEN)


class Sorted(NamedTuple):
    """What to start now, what to try again later, and what to give back, because it cannot run here soon."""

    start: list[WorkerMessage]
    wait: list[WorkerMessage]
    give_back: list[WorkerMessage]


class Quarantine:
    """Decides which messages may be started now. `sort` and `began` are for one thread at a time.

    While suspects wait, `keep` prolongs their hand-overs every `keep_seconds`; it says which are still ours.
    """

    def __init__(self, runs: Runs, keep: Callable[[Sequence[AttemptKey]], set[UUID]], *, keep_seconds: float) -> None:
        self._runs = runs
        self._keep = keep
        self._keep_seconds = keep_seconds
        self._stage = _OPEN
        self._seen_at = self._kept_at = float("-inf")  # the batch
        self._waiting_times = WaitingTimes()

    def state(self) -> State:
        """For any thread."""
        stage = self._stage
        return stage.state if self._lasts(stage) else State.OPEN

    def is_isolating(self) -> bool:
        """Whether this process belongs to suspects, and takes nothing else. For any thread."""
        return self.state() is not State.OPEN

    def _lasts(self, stage: _Stage) -> bool:
        match stage.state:
            case State.OPEN:
                return True
            case State.ASIDE:
                return time.monotonic() - stage.since < _ASIDE_SECONDS
            case State.WAITING | State.RUNNING:
                is_asked_about = time.monotonic() - self._seen_at < _FORGOTTEN_SECONDS
                return (bool(stage.batch) and is_asked_about) or self._is_isolated(stage)

    def _is_isolated(self, stage: _Stage) -> bool:
        run = stage.run
        if run is None or run.ended is not None or not self._runs.has(run.key.exec):
            return False
        return not is_acquitted(run, is_until_end=stage.is_until_end)

    def sort(self, messages: Sequence[WorkerMessage]) -> Sorted:
        if not self.is_isolating():
            if self._stage is not _OPEN:
                self._open()
            suspects = [message for message in messages if is_isolated(message.redis_id)]
            if not suspects:
                return Sorted(list(messages), [], [])
            self._receive(suspects)
        batch = set(map(id, self._stage.batch))
        ours = [message for message in messages if id(message) in batch]
        other_suspects = [message for message in messages if id(message) not in batch and is_isolated(message.redis_id)]
        others = [message for message in messages if not is_isolated(message.redis_id)]
        if ours:
            self._seen_at = time.monotonic()
        match self._stage.state:
            case State.WAITING:
                return self._sort_while_waiting(ours, other_suspects, others)
            case State.RUNNING:
                return self._sort_while_running(ours, [*other_suspects, *others])
            case _:
                return Sorted(others, [], other_suspects)

    def _sort_while_waiting(
        self, ours: list[WorkerMessage], other_suspects: list[WorkerMessage], others: list[WorkerMessage]
    ) -> Sorted:
        if others:  # they were taken before the batch came
            return Sorted(others, self._still_ours(ours), other_suspects)
        if ours and not self._in_the_way_of(ours[0]):
            return Sorted(ours[:1], ours[1:], other_suspects)
        waiting = self._still_ours(ours)
        if waiting and (blocking := self._in_the_way_of(waiting[0])) and self._has_waited_in_vain(waiting, blocking):
            self._step_aside(waiting, blocking)
            return Sorted([], [], [*waiting, *other_suspects])
        return Sorted([], waiting, other_suspects)

    def _sort_while_running(self, ours: list[WorkerMessage], others: list[WorkerMessage]) -> Sorted:
        if time.monotonic() - self._stage.since > _BATCH_SECONDS:
            self._give_back_batch()
            return Sorted([], [], [*ours, *others])
        if ours and not self._in_the_way_of(ours[0]):
            return Sorted(ours[:1], ours[1:], others)
        return Sorted([], self._still_ours(ours), others)

    # Transitions.

    def _receive(self, suspects: list[WorkerMessage]) -> None:
        """OPEN → WAITING. First asks Postgres whether they are ours: forged ones must not make jobs wait."""
        self._seen_at, self._kept_at = time.monotonic(), float("-inf")
        self._stage = _Stage(State.WAITING, time.monotonic(), tuple(suspects))

    def began(self, message: WorkerMessage, run: Run | None) -> None:
        """WAITING or RUNNING → RUNNING: the start that `sort` allowed was made; None when the job was not ours."""
        self._stage = _Stage(
            State.RUNNING,
            self._stage.since if self._stage.state is State.RUNNING else time.monotonic(),
            tuple(one for one in self._stage.batch if one is not message),
            run,
            is_isolated_until_end(message.redis_id),
        )
        self._waiting_times.began(message.key.job_id)

    def _step_aside(self, waiting: list[WorkerMessage], blocking: list[Run]) -> None:
        """WAITING → ASIDE: what is in the way may run for hours, and another process may be free."""
        self._waiting_times.given_back([message.key.job_id for message in waiting], blocking)
        self._stage = _Stage(State.ASIDE, time.monotonic())

    def _give_back_batch(self) -> None:
        """RUNNING, and → OPEN with the end of the run: other suspects would wait too long for the rest of the batch."""
        self._stage = replace(self._stage, batch=())

    def _drop_lost(self, ours: list[WorkerMessage]) -> None:
        """WAITING → OPEN if no job of the batch is ours any more; else the state stays."""
        if ours or self._stage.state is not State.WAITING:
            self._stage = replace(self._stage, batch=tuple(ours))
        else:
            self._open()

    def _open(self) -> None:
        """WAITING, RUNNING or ASIDE → OPEN: nothing of the stage is left that other jobs would have to wait for."""
        self._stage = _OPEN

    # What the states depend on.

    def _in_the_way_of(self, message: WorkerMessage) -> list[Run]:
        """What must have ended, or be acquitted, before this one can begin."""
        if is_isolated_until_end(message.redis_id):
            return self._runs.all()
        return [run for run in self._runs.all() if not is_acquitted(run, is_until_end=run.attempt.is_last)]

    def _has_waited_in_vain(self, waiting: list[WorkerMessage], blocking: list[Run]) -> bool:
        jobs = [message.key.job_id for message in waiting]
        return time.monotonic() - self._stage.since >= self._waiting_times.seconds(jobs, blocking)

    def _still_ours(self, messages: list[WorkerMessage]) -> list[WorkerMessage]:
        """Those that are still ours. Asks Postgres every `keep_seconds`, which prolongs their hand-overs."""
        if not messages or time.monotonic() - self._kept_at < self._keep_seconds:
            return messages
        self._kept_at = time.monotonic()
        kept = self._keep([message.key for message in messages])
        ours = [message for message in messages if message.key.job_id in kept]
        self._drop_lost(ours)
        return ours

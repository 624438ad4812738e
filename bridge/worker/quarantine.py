"""A job whose worker was lost while it ran it runs alone in its process: it takes no other job along again."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from bridge.postgres.attempts import AttemptKey
from bridge.transport.intake import JobMessage
from bridge.transport.messages import is_isolated, is_isolated_until_end
from bridge.worker.runs import Run, Runs

TRIAL_SECONDS = 30.0  # claim_suspects (0004) goes by the same
_FORGOTTEN_SECONDS = 5.0
_BATCH_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0
_ASIDE_SECONDS = 3.0  # more than a bridge needs to hand over again what it is given back
_REMEMBERED = 1000


class Quarantine:
    """Decides which of the messages that came may be started now.

    The process takes nothing new from the moment that such jobs come. They wait, unstarted, until nothing else
    runs here: were one started, it would share the blame for what the others do. Then they run one after the
    other, each begun when the report of the one before it is written. Their hand-overs are prolonged meanwhile.
    A line that takes long is given back, so that others get their turn.

    So is a line that cannot begin, since something else runs here that takes long. This process then steps aside for
    a moment, so that another one gets it. When it comes back all the same, nobody else can run it now, and it is
    waited for twice as long, until it runs. One thread at a time.

    A job that crashed once, has attempts left, and has run alone for TRIAL_SECONDS is acquitted: it goes on like any
    other, and jobs that take long do not wait for each other to end. What runs for so long, and is not the last
    attempt of its job, is not in the way of another such job either. Who crashed twice, or has its last attempt, begins
    when nothing else runs and is alone to its end. So one bad job can take others along twice, at its first crash and,
    acquitted, at its second.
    """

    def __init__(self, runs: Runs, keep: Callable[[Sequence[AttemptKey]], set[UUID]], *, keep_seconds: float) -> None:
        self._runs = runs
        self._keep = keep
        self._keep_seconds = keep_seconds
        self._batch: list[JobMessage] = []
        self._seen_at = self._kept_at = self._came_at = 0.0
        self._aside_until = float("-inf")
        self._let_go: dict[UUID, int] = {}  # jobs that could not begin here, and how often
        self._obstacle: Run | None = None  # what the last of them waited for in vain
        self._batch_began: float | None = None
        self._run: Run | None = None
        self._is_until_end = False  # whether that one is never acquitted

    def is_isolating(self) -> bool:
        """Whether the process belongs to such jobs, that wait for it or run in it. For any thread."""
        # Their consumer asks again several times a second, or has given them back.
        if self._batch and time.monotonic() - self._seen_at < _FORGOTTEN_SECONDS:
            return True
        if time.monotonic() < self._aside_until:
            return True
        run = self._run  # looked at last, and set first: between the two states there is no gap
        return run is not None and run.ended is None and self._runs.has(run.key.exec) and not self._is_acquitted(run)

    def sort(self, messages: Sequence[JobMessage]) -> tuple[list[JobMessage], list[JobMessage], list[JobMessage]]:
        """What to start now, what to ask about again, and what to give back since it cannot run here soon."""
        if not self.is_isolating():
            self._run = self._batch_began = None
            self._batch = [message for message in messages if is_isolated(message.redis_id)]
            if not self._batch:
                return list(messages), [], []
            self._came_at = time.monotonic()
            self._kept_at = float("-inf")  # to be asked about before anybody waits for them: they may be forged
        line = set(map(id, self._batch))
        ours = [message for message in messages if id(message) in line]
        back = [message for message in messages if id(message) not in line and is_isolated(message.redis_id)]
        others = [message for message in messages if not is_isolated(message.redis_id)]
        if ours:
            self._seen_at = time.monotonic()
        if self._batch_began is None and others:  # they were taken before it came
            return others, self._kept(ours), back
        if self._batch_began is not None and time.monotonic() - self._batch_began > _BATCH_SECONDS:
            self._batch = []
            return [], [], [*ours, *back, *others]
        if not ours or self._in_the_way(ours[0]):
            waiting = self._kept(ours)
            hopeless = self._hopeless(waiting)
            return [], [] if hopeless else waiting, [*hopeless, *back, *others]
        return ours[:1], ours[1:], [*back, *others]

    def began(self, message: JobMessage, run: Run | None) -> None:
        """The start that `sort` allowed was made; None when the job is not ours any more."""
        self._is_until_end = is_isolated_until_end(message.redis_id)
        self._run = run
        self._let_go.pop(message.key.job_id, None)
        self._batch = [one for one in self._batch if one is not message]
        if self._batch_began is None:
            self._batch_began = time.monotonic()

    def _is_acquitted(self, run: Run) -> bool:
        return _is_long(run) and not self._is_until_end

    def _in_the_way(self, message: JobMessage) -> list[Run]:
        """What must have ended, or be acquitted, before this one can begin."""
        if is_isolated_until_end(message.redis_id):
            return self._runs.all()
        return [run for run in self._runs.all() if not _is_long(run) or run.attempt.is_last]

    def _hopeless(self, waiting: list[JobMessage]) -> list[JobMessage]:
        """Those that another process shall have, since they waited for long: all or none."""
        if not waiting or self._batch_began is not None or not (running := self._in_the_way(waiting[0])):
            return []
        times = max(self._let_go.get(message.key.job_id, 0) for message in waiting)
        patience = _PATIENCE_SECONDS * 2**times
        if not times and self._obstacle in running:
            patience = 0.0
        if time.monotonic() - self._came_at < patience:
            return []
        for message in waiting:
            self._let_go[message.key.job_id] = self._let_go.pop(message.key.job_id, 0) + 1
        for job_id in list(self._let_go)[:-_REMEMBERED]:
            del self._let_go[job_id]
        self._obstacle = min(running, key=lambda run: run.began)
        self._batch = []
        self._aside_until = time.monotonic() + _ASIDE_SECONDS
        return waiting

    def _kept(self, messages: list[JobMessage]) -> list[JobMessage]:
        """Those that are still ours to start."""
        if not messages or time.monotonic() - self._kept_at < self._keep_seconds:
            return messages
        self._kept_at = time.monotonic()
        kept = self._keep([message.key for message in messages])
        self._batch = [message for message in messages if message.key.job_id in kept]
        return self._batch


def _is_long(run: Run) -> bool:
    """Its actor has run for a trial's time and goes on."""
    return run.thread is not None and run.duration >= TRIAL_SECONDS

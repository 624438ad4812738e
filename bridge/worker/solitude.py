"""A job whose worker was lost while it ran it runs alone in its process: it takes no other job along again."""

import time
from collections.abc import Callable, Sequence

from bridge.attempts import Held
from bridge.envelope import is_alone
from bridge.transport.intake import JobMessage
from bridge.worker.runs import Run, Runs

_FORGOTTEN_SECONDS = 5.0


class Solitude:
    """Decides which of the messages that came may be started now.

    The process takes nothing new from the moment that such a job comes. It waits, unstarted, until nothing else
    runs here: were it started, it would share the blame for what the others do. Its hand-over is prolonged
    meanwhile. One thread at a time.
    """

    def __init__(self, runs: Runs, keep: Callable[[Held], bool], *, keep_seconds: float) -> None:
        self._runs = runs
        self._keep = keep
        self._keep_seconds = keep_seconds
        self._waiting: JobMessage | None = None
        self._seen_at = self._kept_at = 0.0
        self._run: Run | None = None

    def is_on(self) -> bool:
        """Whether the process belongs to one job, that waits for it or runs in it. For any thread."""
        run = self._run
        if run is not None and run.ended is None and self._runs.has(run.held.exec):
            return True
        # Its consumer asks again several times a second, or has given it back.
        return self._waiting is not None and time.monotonic() - self._seen_at < _FORGOTTEN_SECONDS

    def sort(self, messages: Sequence[JobMessage]) -> tuple[list[JobMessage], list[JobMessage], list[JobMessage]]:
        """What to start now, what to ask about again, and what to give back since it cannot run here soon."""
        if not self.is_on():
            self._waiting = self._run = None
            self._waiting = next((message for message in messages if is_alone(message.redis_id)), None)
            if self._waiting is None:
                return list(messages), [], []
            self._kept_at = float("-inf")  # to be asked about before anybody waits for it: it may be forged
        ours = [message for message in messages if message is self._waiting]
        back = [message for message in messages if message is not self._waiting and is_alone(message.redis_id)]
        others = [message for message in messages if not is_alone(message.redis_id)]
        if ours:
            self._seen_at = time.monotonic()
        if self._waiting is None:  # it runs
            return [], [], [*back, *others]
        if others or not ours:  # they were taken before it came
            return others, [message for message in ours if self._is_kept(message)], back
        if self._runs.all():
            return [], ours if self._is_kept(ours[0]) else [], back
        return ours, [], back

    def began(self, run: Run | None) -> None:
        """The start that `sort` allowed was made; None when the job is not ours any more."""
        self._waiting, self._run = None, run

    def _is_kept(self, message: JobMessage) -> bool:
        if time.monotonic() - self._kept_at < self._keep_seconds:
            return True
        self._kept_at = time.monotonic()
        if not self._keep(message.held):
            self._waiting = None
            return False
        return True

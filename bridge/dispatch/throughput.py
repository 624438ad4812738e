"""How fast each queue moves, and what that allows: how far to hand over ahead, how many jobs to a message."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.transport.freed import FreedSlots
from bridge.transport.messages import JOBS_MOST, SUSPECTS_MOST

_AHEAD_SECONDS = 0.2
_AHEAD_MOST = 2000
_MESSAGE_SECONDS = 0.02
_QUIET_SECONDS = 1.0
_AVERAGE_SECONDS = 0.25
_SUSPECTS_SECONDS = 3.0
_FIRST_SECONDS = 0.01  # what the first word of a queue is taken to have taken


@dataclass(slots=True)
class _QueueRate:
    """Averages over the last quarter second or so, in which each report counts for as long as it took.

    `covered` is how much of that span was seen: the first moments must not be watered down by it.
    """

    since: float
    rate: float = 0.0
    covered: float = 0.0
    seconds: float | None = None  # of one job in its thread

    def settled(self, jobs: int, seconds: float, now: float) -> None:
        elapsed = max(now - self.since, 0.001)
        weight = min(1.0, elapsed / _AVERAGE_SECONDS)
        self.rate += weight * (jobs / elapsed - self.rate)
        self.covered += weight * (1 - self.covered)
        if jobs > 0:
            known = seconds / jobs if self.seconds is None else self.seconds
            self.seconds = known + max(weight, 0.1) * (seconds / jobs - known)
        self.since = now

    def ahead(self, slots: int) -> int:
        """Jobs that are finished in `_AHEAD_SECONDS`: by what was seen, and never more than `slots` threads can."""
        can = slots / max(self.seconds or 0.0, 1e-6)
        return min(_AHEAD_MOST, int(min(self.rate / max(self.covered, 1e-6), can) * _AHEAD_SECONDS))


class Throughput:
    """Measured, from what workers say they have settled. One thread tells, another one asks.

    Short jobs get a stock in Redis that hides the way through it, and travel together. Long ones get
    neither: the next job is chosen when a slot is free and not before.
    """

    def __init__(self) -> None:
        self._rates: dict[str, _QueueRate] = {}
        self._lock = threading.Lock()

    def on_freed(self, message: FreedSlots, now: float) -> None:
        with self._lock:
            for queue, (jobs, ms) in message.settled.items():
                self._rates.setdefault(queue, _QueueRate(now - _FIRST_SECONDS)).settled(jobs, ms / 1000, now)

    def ahead(self, now: float, slots: Mapping[str, int]) -> dict[str, int]:
        """Queue → jobs to hand over beyond its free `slots`; queues that went quiet are forgotten."""
        with self._lock:
            self._rates = {queue: rate for queue, rate in self._rates.items() if now - rate.since <= _QUIET_SECONDS}
            ahead = {queue: rate.ahead(slots.get(queue, 0)) for queue, rate in self._rates.items()}
        return {queue: jobs for queue, jobs in ahead.items() if jobs > 0}

    def jobs_per_message(self, queue: str, slots: int) -> int:
        """How many jobs of this queue travel in one message: what one thread does in 20 ms, and never so many
        that a few messages hold all that is handed over.
        """
        with self._lock:
            rate = self._rates.get(queue)
            if rate is None:
                return 1
            share = rate.ahead(slots) // 16
            return max(1, min(share, JOBS_MOST // 2, int(_MESSAGE_SECONDS / max(rate.seconds or 1.0, 1e-6))))

    def suspects_per_batch(self) -> int:
        """How many jobs that must run alone go to one process together: what one thread does in 3 s, of the
        queue with the longest jobs; 1 where nothing was settled lately.
        """
        with self._lock:
            longest = max((rate.seconds or 0.0 for rate in self._rates.values()), default=_SUSPECTS_SECONDS)
        return max(1, min(SUSPECTS_MOST, int(_SUSPECTS_SECONDS / max(longest, 1e-6))))

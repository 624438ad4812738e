"""How fast each queue moves, and what follows from it: how far to hand over ahead, how many jobs to a message."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.transport.freed import FreedSlots
from bridge.transport.messages import JOBS_MOST, SUSPECTS_MOST

# How much work is handed over ahead of free slots: it hides the round trips between bridge, Redis and worker, and an
# urgent job does not wait long for it. The number is limited too, in case a wrong rate was measured.
_AHEAD_SECONDS, _AHEAD_MOST = 0.2, 2000
_MESSAGE_SECONDS = 0.02  # the work in one message: its last job waits no longer for those before it
_MESSAGES_LEAST = 16  # the jobs ahead are spread over so many messages, so that several processes share them
_AVERAGE_SECONDS = 0.25  # follows a change of load quickly, and still spans several messages of each worker
_QUIET_SECONDS = 1.0  # without messages for so long, a rate does not predict the next jobs
# The work in one batch of suspects: after five seconds a process gives back those it has not begun.
_SUSPECTS_SECONDS = 3.0
_FIRST_SECONDS = 0.01  # the time that the first message of a queue counts for: it is unknown since when its jobs ran
_JOB_WEIGHT_LEAST = 0.1  # of the newest report in the average duration: many reports at once must still count


@dataclass(slots=True)
class _QueueRate:
    """Moving averages over about _AVERAGE_SECONDS, in which each report weighs as much as the time since the last one.

    `covered` is the part of that span that was seen, by which `rate` is divided: otherwise it would start too low.
    """

    since: float
    rate: float = 0.0
    covered: float = 0.0
    seconds: float | None = None  # that one job takes in its thread

    def settled(self, jobs: int, seconds: float, now: float) -> None:
        elapsed = max(now - self.since, 0.001)
        weight = min(1.0, elapsed / _AVERAGE_SECONDS)
        self.rate += weight * (jobs / elapsed - self.rate)
        self.covered += weight * (1 - self.covered)
        if jobs > 0:
            known = seconds / jobs if self.seconds is None else self.seconds
            self.seconds = known + max(weight, _JOB_WEIGHT_LEAST) * (seconds / jobs - known)
        self.since = now

    def ahead(self, slots: int) -> int:
        """Jobs that are finished in `_AHEAD_SECONDS`: at the measured rate, and no more than `slots` threads can do."""
        can = slots / max(self.seconds or 0.0, 1e-6)
        return min(_AHEAD_MOST, int(min(self.rate / max(self.covered, 1e-6), can) * _AHEAD_SECONDS))


class Throughput:
    """Measured from what workers report as settled. For two threads: one reports, the other asks.

    Short jobs are handed over ahead of free slots and share messages. Long ones are not: the next job is chosen when
    a slot is free, and not before.
    """

    def __init__(self) -> None:
        self._rates: dict[str, _QueueRate] = {}
        self._lock = threading.Lock()

    def on_freed(self, message: FreedSlots, now: float) -> None:
        with self._lock:
            for queue, (jobs, ms) in message.settled.items():
                self._rates.setdefault(queue, _QueueRate(now - _FIRST_SECONDS)).settled(jobs, ms / 1000, now)

    def ahead(self, now: float, slots: Mapping[str, int]) -> dict[str, int]:
        """Queue → how many jobs to hand over beyond its free slots. `slots`: queue → all slots that serve it."""
        with self._lock:
            self._rates = {queue: rate for queue, rate in self._rates.items() if now - rate.since <= _QUIET_SECONDS}
            ahead = {queue: rate.ahead(slots.get(queue, 0)) for queue, rate in self._rates.items()}
        return {queue: jobs for queue, jobs in ahead.items() if jobs > 0}

    def jobs_per_message(self, queue: str, slots: int) -> int:
        """How many jobs of this queue share a message: what one thread does in _MESSAGE_SECONDS, and never so many that
        a few messages hold all that is handed over.
        """
        with self._lock:
            rate = self._rates.get(queue)
            if rate is None:
                return 1
            share = rate.ahead(slots) // _MESSAGES_LEAST
            return max(1, min(share, JOBS_MOST // 2, int(_MESSAGE_SECONDS / max(rate.seconds or 1.0, 1e-6))))

    def suspects_per_batch(self) -> int:
        """How many suspects one process gets in a batch: what one thread does in _SUSPECTS_SECONDS, of the queue with
        the longest jobs; 1 when nothing was settled lately.
        """
        with self._lock:
            longest = max((rate.seconds or 0.0 for rate in self._rates.values()), default=_SUSPECTS_SECONDS)
        return max(1, min(SUSPECTS_MOST, int(_SUSPECTS_SECONDS / max(longest, 1e-6))))

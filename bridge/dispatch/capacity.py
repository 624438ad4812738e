"""How many more jobs may be handed over: counted in Postgres about once a second, and adjusted by messages in between.

A count for each claim would read every job that is handed over or running, and the dead index entries of those that
were so until now: that was two thirds of the cost of a claim.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from bridge.job import Claim
from bridge.postgres.queue_rows import QueueCapacity
from bridge.transport.freed import FreedSlots, HandedOver

# A lost message leaves the numbers wrong until the next count, so counts are frequent, and slow ones never so rare that
# a lost message matters for long.
_COUNT_SECONDS, _COUNT_MOST_SECONDS = 1.0, 5.0
_COUNT_SHARE = 50  # slow counts are made so rarely that they take one fiftieth of the time, too little to slow claims
_REQUESTED = 0.0  # the time of a count that is due at once


class Crowd(NamedTuple):
    """Of jobs that wait for the `slots` of a queue, the least urgent of them with priority `lowest`."""

    slots: int
    lowest: int


class Capacity:
    """For two threads: one claims, the other receives messages. Messages are hints, which the next count corrects.

    A slot serves every queue of its worker. So a claim takes a slot from all of these queues, and a settled job gives
    it back to all.
    """

    def __init__(self, name: str, on_worker_started: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._on_worker_started = on_worker_started  # or declared more actors
        self._lock = threading.Lock()
        self._free: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._lowest: dict[str, int | None] = {}
        self._shared: dict[str, Sequence[str]] = {}
        self._changes: defaultdict[str, int] = defaultdict(int)  # since the count in progress began
        self._count_at = _REQUESTED

    def count_is_due(self, now: float) -> bool:
        with self._lock:
            if now < self._count_at:
                return False
            self._changes.clear()
            return True

    def count_is_requested(self) -> bool:
        """Slots or jobs changed in a way that no message reports: what is known may be wrong by much."""
        with self._lock:
            return self._count_at == _REQUESTED

    def counted(self, queues: Iterable[QueueCapacity], *, now: float, took: float) -> None:
        """Take over a count that took `took` seconds. Without workers it is cheap, and repeated after a second."""
        queues = list(queues)
        with self._lock:
            # The count may or may not include what happened while it was made. A slot that is counted twice would
            # get two jobs, so only claims are subtracted and freed slots are not added.
            self._free = {one.queue: one.free + min(0, self._changes[one.queue]) for one in queues}
            self._slots = {one.queue: one.slots for one in queues}
            self._lowest = {one.queue: one.lowest for one in queues}
            self._shared = {one.queue: one.shared_with for one in queues}
            rest = min(_COUNT_MOST_SECONDS, _COUNT_SHARE * took) if queues else 0.0
            self._count_at = now + max(_COUNT_SECONDS, rest)

    def request_count(self) -> None:
        with self._lock:
            self._count_at = _REQUESTED

    def slots(self) -> dict[str, int]:
        """Queue → the slots of all live workers that serve it."""
        with self._lock:
            return self._slots

    def available(self, ahead: Mapping[str, int]) -> dict[str, int]:
        """Queue → how many jobs to hand over: its free slots and its `ahead`. Queues with none are left out."""
        with self._lock:
            available = {queue: free + ahead.get(queue, 0) for queue, free in self._free.items()}
        return {queue: jobs for queue, jobs in available.items() if jobs > 0}

    def crowds(self, available: Mapping[str, int]) -> dict[str, Crowd]:
        """Of the queues that have none `available`, since jobs that are handed over wait for their slots."""
        with self._lock:
            crowded = [queue for queue, free in self._free.items() if free < 0 and queue not in available]
            lowest = {queue: self._lowest_of(queue) for queue in crowded}
            return {queue: Crowd(self._slots[queue], low) for queue, low in lowest.items() if low is not None}

    def _lowest_of(self, queue: str) -> int | None:
        found = (self._lowest.get(shared) for shared in self._shared.get(queue, (queue,)))
        return min((low for low in found if low is not None), default=None)

    def claimed(self, claims: Iterable[Claim]) -> dict[str, int]:
        """Subtract what this bridge has claimed; queue → how many."""
        taken: defaultdict[str, int] = defaultdict(int)
        for claim in claims:
            taken[claim.queue] += 1
        self._take(taken)
        return dict(taken)

    def on_freed(self, message: FreedSlots) -> None:
        """A worker settled jobs; or, without any, has slots that no count knows yet."""
        jobs = message.jobs
        if jobs == 0:
            self.request_count()
            self._on_worker_started()
        with self._lock:
            for queue in message.queues:
                self._change(queue, jobs)

    def on_handed_over(self, message: HandedOver) -> None:
        """A bridge claimed jobs. Our own are known from `claimed`."""
        if message.by != self._name:
            self._take(message.handed)

    def _take(self, taken: Mapping[str, int]) -> None:
        with self._lock:
            for queue, jobs in taken.items():
                for shared in self._shared.get(queue, (queue,)):
                    self._change(shared, -jobs)

    def _change(self, queue: str, jobs: int) -> None:
        if queue in self._free:
            self._free[queue] += jobs
        self._changes[queue] += jobs

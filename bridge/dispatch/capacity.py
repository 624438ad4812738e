"""How many more jobs may be handed over: counted in Postgres now and then, kept up by ear in between.

Counting for each claim would read every job in somebody's hands, and with them all that were so lately.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from bridge.job import Claim
from bridge.postgres.queue_rows import QueueCapacity
from bridge.transport.freed import FreedSlots, HandedOver

_COUNT_SECONDS = 1.0
_COUNT_MOST_SECONDS = 5.0


class Capacity:
    """One thread claims, another one hears. What is heard are hints: a count sets them right within a second.

    A slot serves any queue of its worker, so a claim takes from all of them and an ended job gives to all.
    """

    def __init__(self, name: str, on_worker_started: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._on_worker_started = on_worker_started  # one began, or can do more by now
        self._lock = threading.Lock()
        self._free: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._shared: dict[str, Sequence[str]] = {}
        self._changes: defaultdict[str, int] = defaultdict(int)  # since the count under way began
        self._count_at = 0.0

    def count_is_due(self, now: float) -> bool:
        with self._lock:
            if now < self._count_at:
                return False
            self._changes.clear()
            return True

    def counted(self, queues: Iterable[QueueCapacity], *, now: float, took: float) -> None:
        """A count and how long it took; the longer, the rarer. While nobody is there it costs nothing."""
        queues = list(queues)
        with self._lock:
            # What was heard meanwhile is in the count, or is not. Room that is there twice would be handed
            # out twice, so only what was taken counts.
            self._free = {one.queue: one.free + min(0, self._changes[one.queue]) for one in queues}
            self._slots = {one.queue: one.slots for one in queues}
            self._shared = {one.queue: one.shared_with for one in queues}
            rest = min(_COUNT_MOST_SECONDS, 50 * took) if queues else 0.0
            self._count_at = now + max(_COUNT_SECONDS, rest)

    def request_count(self) -> None:
        with self._lock:
            self._count_at = 0.0

    def slots(self) -> dict[str, int]:
        """Queue → the slots of all live workers that serve it."""
        with self._lock:
            return self._slots

    def available(self, ahead: Mapping[str, int]) -> dict[str, int]:
        """Queue → jobs to hand over, `ahead` of the free slots by so many."""
        with self._lock:
            available = {queue: free + ahead.get(queue, 0) for queue, free in self._free.items()}
        return {queue: jobs for queue, jobs in available.items() if jobs > 0}

    def claimed(self, claims: Iterable[Claim]) -> dict[str, int]:
        """We took these; by queue, how many."""
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

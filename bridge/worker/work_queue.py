"""The queue between Dramatiq's consumer threads and its worker threads: by priority, and cheap for short jobs."""

import threading
from collections import deque
from queue import SimpleQueue
from typing import Any

from bridge.worker.precedence import Precedence

_Rank = tuple[int, int]


class WorkQueue:
    """The most urgent job first, then the actor of the highest priority in Dramatiq's sense, then the oldest.

    Has all that Dramatiq asks of a queue.PriorityQueue, which would cost more than a short job takes. Each item leaves
    a token in a SimpleQueue, which is written in C; who has got a token takes the first item of the first level, when
    `precedence` lets it.
    """

    def __init__(self) -> None:
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._levels: dict[_Rank, deque[Any]] = {}  # in order of rank; replaced as a whole, for readers without a lock
        self._lock = threading.Lock()  # taken directly where nobody is told: a condition is written in Python
        self._all_done = threading.Condition(self._lock)
        self.precedence = Precedence()
        self.unfinished_tasks = 0
        self.qsize = self._tokens.qsize
        self.empty = self._tokens.empty

    def put(self, item: Any) -> None:
        rank = -item.message.urgency, item.priority
        with self._lock:
            self.unfinished_tasks += 1
            level = self._levels.get(rank)
            if level is None:
                level = self._add_level(rank)
            level.append(item)
        self._tokens.put(None)
        if self.precedence.floor is not None:
            self.precedence.arrived()

    def _add_level(self, rank: _Rank) -> deque[Any]:
        kept = [(known, level) for known, level in self._levels.items() if level]
        added: deque[Any] = deque()
        self._levels = dict(sorted([*kept, (rank, added)], key=lambda one: one[0]))
        return added

    def get(self, timeout: float | None = None) -> Any:
        self._tokens.get(timeout=timeout)
        while True:  # again when others took what was there, and an item came on a level that was passed already
            floor = self.precedence.floor
            for rank, level in self._levels.items():
                if floor is not None and -rank[0] < floor:
                    self.precedence.wait()
                    break
                try:
                    return level.popleft()
                except IndexError:
                    continue

    def get_nowait(self) -> Any:
        return self.get(timeout=0)

    def least_urgent(self) -> int | None:
        """The lowest priority of a job that waits for a thread."""
        return next((-rank[0] for rank, level in reversed(self._levels.items()) if level), None)

    def task_done(self) -> None:
        with self._lock:
            self.unfinished_tasks -= 1
            if not self.unfinished_tasks:
                self._all_done.notify_all()

    def join(self) -> None:
        with self._all_done:
            self._all_done.wait_for(lambda: not self.unfinished_tasks)

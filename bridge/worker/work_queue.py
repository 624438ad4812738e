"""The queue between Dramatiq's consumer threads and its worker threads, for short jobs."""

import threading
from contextlib import suppress
from itertools import count
from queue import Empty, PriorityQueue, SimpleQueue
from time import monotonic
from typing import Any

from dramatiq import Broker

_URGENT = None  # stands in the queue for one urgent item: whoever takes it looks there first


class WorkQueue:
    """First in, first out, by a SimpleQueue, which is written in C: a PriorityQueue costs more than a short job takes.

    A job that is more urgent than those that wait passes them. Has all that Dramatiq asks of a queue.PriorityQueue.
    """

    def __init__(self) -> None:
        self._items: SimpleQueue[Any] = SimpleQueue()
        self._urgent: PriorityQueue[tuple[int, int, Any]] = PriorityQueue()
        self._numbers = count()
        self._usual = -(2**31)  # priority of the last job in the queue
        self._changed = threading.Condition()
        self.unfinished_tasks = 0
        self.qsize = self._items.qsize
        self.empty = self._items.empty

    def put(self, item: Any) -> None:
        with self._changed:
            self.unfinished_tasks += 1
        priority = item.message.urgency
        if priority > self._usual and not self._items.empty():
            self._urgent.put((-priority, next(self._numbers), item))
            self._items.put(_URGENT)
        else:
            self._usual = priority
            self._items.put(item)

    def get(self, timeout: float | None = None) -> Any:
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            if self._urgent.queue:
                with suppress(Empty):  # another thread was quicker
                    return self._urgent.get_nowait()[2]
            item = self._items.get(timeout=timeout)
            if item is not _URGENT:
                return item
            if deadline is not None:
                timeout = max(0.0, deadline - monotonic())

    def get_nowait(self) -> Any:
        return self.get(timeout=0)

    def task_done(self) -> None:
        with self._changed:
            self.unfinished_tasks -= 1
            if not self.unfinished_tasks:
                self._changed.notify_all()

    def join(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self.unfinished_tasks)


def work_queue(broker: Broker) -> "WorkQueue | PriorityQueue[Any]":
    """Ours, if all actors have one priority; else Dramatiq's, which puts actors of a higher priority first."""
    return WorkQueue() if len({actor.priority for actor in broker.actors.values()}) <= 1 else PriorityQueue()

"""The queue between Dramatiq's consumer threads and its worker threads, for short jobs."""

import threading
from queue import PriorityQueue, SimpleQueue
from typing import Any

from dramatiq import Broker


class WorkQueue:
    """First in, first out, of the kind that C gives: the other kind costs more than a short job.

    Has what Dramatiq asks of a queue.PriorityQueue.
    """

    def __init__(self) -> None:
        self._items: SimpleQueue[Any] = SimpleQueue()
        self._changed = threading.Condition()
        self.unfinished_tasks = 0
        self.get_nowait = self._items.get_nowait
        self.qsize = self._items.qsize
        self.empty = self._items.empty

    def put(self, item: Any) -> None:
        with self._changed:
            self.unfinished_tasks += 1
        self._items.put(item)

    def get(self, timeout: float | None = None) -> Any:
        return self._items.get(timeout=timeout)

    def task_done(self) -> None:
        with self._changed:
            self.unfinished_tasks -= 1
            if not self.unfinished_tasks:
                self._changed.notify_all()

    def join(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self.unfinished_tasks)


def work_queue(broker: Broker) -> "WorkQueue | PriorityQueue[Any]":
    """For actors that are all of one priority ours, else Dramatiq's, which puts the more urgent ones first."""
    return WorkQueue() if len({actor.priority for actor in broker.actors.values()}) <= 1 else PriorityQueue()

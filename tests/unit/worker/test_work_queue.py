"""The queue in front of a worker process's threads: first in, first out, but more urgent jobs overtake."""

import threading
from dataclasses import dataclass, field
from queue import Empty
from types import SimpleNamespace

import pytest

from bridge.worker.work_queue import WorkQueue


@dataclass
class Item:
    name: str
    urgency: int = 0
    message: SimpleNamespace = field(init=False)

    def __post_init__(self) -> None:
        self.message = SimpleNamespace(urgency=self.urgency)


def put(queue: WorkQueue, *items: tuple[str, int]) -> None:
    for name, urgency in items:
        queue.put(Item(name, urgency))


def drain(queue: WorkQueue) -> list[str]:
    taken = []
    while True:
        try:
            taken.append(queue.get_nowait().name)
        except Empty:
            return taken


def test_jobs_of_equal_priority_keep_their_order() -> None:
    queue = WorkQueue()
    put(queue, ("a", 3), ("b", 3), ("c", 3))

    assert drain(queue) == ["a", "b", "c"]


def test_more_urgent_jobs_overtake_the_others_and_the_most_urgent_is_first() -> None:
    queue = WorkQueue()
    put(queue, ("a", 0), ("b", 0), ("x", 5), ("y", 9), ("z", 5), ("c", 0))

    assert drain(queue) == ["y", "x", "z", "a", "b", "c"]


def test_a_job_put_on_an_empty_queue_sets_the_usual_priority() -> None:
    queue = WorkQueue()
    put(queue, ("a", 0))
    drain(queue)
    put(queue, ("b", 7), ("c", 7), ("d", 8))

    assert drain(queue) == ["d", "b", "c"]


def test_a_waiting_thread_gets_the_next_job_or_times_out() -> None:
    queue = WorkQueue()
    with pytest.raises(Empty):
        queue.get(timeout=0.01)
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(queue.get(timeout=10).name))
    thread.start()
    put(queue, ("a", 1))
    thread.join(10)

    assert got == ["a"]


def test_many_threads_take_each_item_once() -> None:
    queue, taken = WorkQueue(), []

    def work() -> None:
        while (item := queue.get(timeout=10)).name != "end":
            taken.append(item.name)
            queue.task_done()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    put(queue, *[(str(n), n % 7) for n in range(2000)])
    queue.join()
    put(queue, *[("end", 0)] * 8)
    for thread in threads:
        thread.join(10)

    assert sorted(taken, key=int) == [str(n) for n in range(2000)]

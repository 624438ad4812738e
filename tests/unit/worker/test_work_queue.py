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
    priority: int = 0  # of its actor, where Dramatiq puts the lower one first
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


def test_a_less_urgent_job_lets_nobody_pass_the_more_urgent_ones() -> None:
    queue = WorkQueue()
    put(queue, ("a", 5), ("b", -5), ("c", 0), ("d", 5))

    assert drain(queue) == ["a", "d", "c", "b"]


def test_among_jobs_of_one_priority_that_of_the_actor_decides() -> None:
    queue = WorkQueue()
    for item in (Item("slow", 0, 10), Item("quick", 0, 0), Item("urgent", 1, 10)):
        queue.put(item)

    assert drain(queue) == ["urgent", "quick", "slow"]


def test_it_knows_the_least_urgent_job_that_waits() -> None:
    queue = WorkQueue()
    assert queue.least_urgent() is None
    put(queue, ("a", 7), ("b", -2), ("c", 9))

    assert queue.least_urgent() == -2
    assert [queue.get().name for _ in range(2)] == ["c", "a"]
    assert queue.least_urgent() == -2


def test_many_priorities_one_after_the_other_leave_nothing_behind() -> None:
    queue = WorkQueue()
    for priority in range(1000):
        put(queue, ("a", priority))
        drain(queue)

    assert len(queue._levels) == 1


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

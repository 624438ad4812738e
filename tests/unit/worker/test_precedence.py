"""What is less urgent waits while an urgent job is on its way to a thread, and not for long."""

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from bridge.worker.precedence import Precedence
from bridge.worker.work_queue import WorkQueue
from tests.support.waiting import eventually


@dataclass
class Item:
    urgency: int
    priority: int = 0
    message: SimpleNamespace = field(init=False)

    def __post_init__(self) -> None:
        self.message = SimpleNamespace(urgency=self.urgency)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("bridge.worker.precedence.time.monotonic", lambda: now[0])
    return now


def take(queue: WorkQueue, count: int) -> list[int]:
    """What so many threads get, as they get it."""
    taken: list[int] = []
    for _ in range(count):
        threading.Thread(target=lambda: taken.append(queue.get().urgency), daemon=True).start()
    return taken


def test_a_free_thread_waits_for_the_urgent_job_and_then_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.worker.precedence._MOST_SECONDS", 60.0)
    monkeypatch.setattr("bridge.worker.precedence._CREDIT_MOST_SECONDS", 60.0)
    queue = WorkQueue()
    queue.precedence._credit = 60.0
    queue.put(Item(0))
    queue.put(Item(0))
    queue.precedence.expect(5, 1, hold=True)
    taken = take(queue, 3)
    with pytest.raises(AssertionError):
        eventually(lambda: taken, seconds=0.1)

    queue.put(Item(5))
    eventually(lambda: taken == [5])
    with pytest.raises(AssertionError):
        eventually(lambda: len(taken) > 1, seconds=0.1)

    queue.precedence.began(5)
    eventually(lambda: taken == [5, 0, 0])


def test_without_a_word_of_its_beginning_others_go_on_after_a_moment() -> None:
    queue = WorkQueue()
    queue.put(Item(0))
    queue.precedence.expect(5, 1, hold=True)
    began = time.monotonic()

    assert queue.get().urgency == 0

    assert 0.09 < time.monotonic() - began < 2
    assert queue.precedence.expected == {}


def test_jobs_of_the_same_priority_and_more_urgent_ones_do_not_wait() -> None:
    queue = WorkQueue()
    queue.precedence.expect(5, 1, hold=True)
    for urgency in (0, 5, 9):
        queue.put(Item(urgency))

    assert [queue.get().urgency for _ in range(2)] == [9, 5]


def test_who_holds_up_nobody_knows_all_the_same_what_others_wait_for() -> None:
    precedence = Precedence()

    precedence.expect(5, 1, hold=False)

    assert (precedence.floor, precedence.expected) == (None, {5: 1})


def test_others_wait_for_all_that_is_expected_the_most_urgent_first(clock: list[float]) -> None:
    precedence = Precedence()
    precedence.expect(5, 2, hold=True)
    precedence.expect(9, 1, hold=True)
    assert precedence.floor == 9
    precedence.began(9)
    assert precedence.floor == 5
    precedence.began(5)
    assert precedence.floor == 5
    precedence.began(7)
    assert precedence.floor == 5

    precedence.began(5)

    assert precedence.expected == {}


def test_others_are_held_up_for_half_of_the_time_at_the_most(clock: list[float]) -> None:
    precedence, held = Precedence(), 0.0
    for _ in range(1000):  # ten seconds, in which urgent jobs come all the time and never begin
        precedence.expect(5, 1, hold=True)
        held += 0.01 if precedence.floor is not None else 0.0
        clock[0] += 0.01

    assert 4 < held < 6

"""How long suspects wait for other jobs of this process."""

from uuid import uuid4

import pytest

from bridge.worker.runs import Run
from bridge.worker.waiting_times import WaitingTimes
from tests.support.runs import new_run

ONE, OTHER = uuid4(), uuid4()


@pytest.fixture
def times() -> WaitingTimes:
    return WaitingTimes()


@pytest.fixture
def blocking() -> Run:
    return new_run()


def test_suspects_wait_twice_as_long_each_time_they_come_back(times: WaitingTimes, blocking: Run) -> None:
    waits = []
    for _ in range(3):
        waits.append(times.seconds([ONE], [blocking]))
        times.given_back([ONE], [blocking])

    assert waits == [5, 10, 20]


def test_the_suspect_that_came_back_most_often_decides(times: WaitingTimes, blocking: Run) -> None:
    times.given_back([ONE], [blocking])

    assert times.seconds([OTHER, ONE], [blocking]) == 10


def test_a_first_batch_does_not_wait_for_a_run_that_another_batch_waited_for(times: WaitingTimes) -> None:
    oldest, younger = new_run(), new_run()
    oldest.began -= 1
    times.given_back([ONE], [younger, oldest])

    assert times.seconds([OTHER], [oldest]) == 0
    assert times.seconds([OTHER], [younger]) == 5


def test_a_suspect_that_began_waits_as_the_first_time(times: WaitingTimes, blocking: Run) -> None:
    times.given_back([ONE], [blocking])
    times.began(ONE)

    assert times.seconds([ONE], [new_run()]) == 5


def test_only_the_thousand_latest_are_remembered(times: WaitingTimes, blocking: Run) -> None:
    times.given_back([ONE, OTHER], [blocking])
    times.given_back([uuid4() for _ in range(999)], [blocking])

    assert times.seconds([ONE], [new_run()]) == 5
    assert times.seconds([OTHER], [new_run()]) == 10

"""Queues that cannot be published to: checked every few seconds until their keys are right again."""

import pytest

from bridge.dispatch.closed_queues import ClosedQueues
from bridge.errors import WrongKeyError


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("bridge.dispatch.closed_queues.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def steps_in(seconds: float, queues: ClosedQueues, available: dict[str, int], clock: Clock) -> int:
    """The number of steps of a dispatcher that has nothing else to do. Each step takes a millisecond."""
    until, steps = clock.now + seconds, 0
    while clock.now < until:
        queues.open_among(available)
        clock.now += 0.001 + queues.seconds_to_next_check()
        steps += 1
    return steps


@pytest.mark.parametrize("available", [{"a": 8, "b": 8}, {"b": 8}, {}])
def test_a_closed_queue_is_checked_seldom_with_and_without_free_slots(clock: Clock, available: dict[str, int]) -> None:
    checks: list[str] = []

    def check(queue: str) -> None:
        checks.append(queue)
        raise WrongKeyError("no list")

    queues = ClosedQueues(check)
    queues.close(WrongKeyError("no list", ["a"]))

    assert steps_in(30, queues, available, clock) <= 120
    assert 13 <= len(checks) <= 120


def test_a_queue_repaired_while_no_slot_was_free_is_open_when_one_is(clock: Clock) -> None:
    queues = ClosedQueues(lambda _: None)
    queues.close(WrongKeyError("no list", ["a"]))
    assert queues.open_among({"a": 8}) == {}

    clock.now += 3
    queues.open_among({})

    assert queues.seconds_to_next_check() == float("inf")
    assert queues.open_among({"a": 8}) == {"a": 8}

"""Requests wait until the API takes them."""

from actors.coding.sandbox.fly.buckets import Buckets


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.waited: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waited.append(round(seconds, 3))
        self.now += seconds


def test_three_at_once_then_one_a_second_for_each_action_and_machine() -> None:
    clock = Clock()
    buckets = Buckets(clock.sleep, lambda: clock.now)

    for _ in range(5):
        buckets.take("start", "machine")
    assert clock.waited == [1.25, 1.25]

    buckets.take("stop", "machine")
    buckets.take("start", "other")
    assert clock.waited == [1.25, 1.25]


def test_a_bucket_fills_again_but_never_above_its_size() -> None:
    clock = Clock()
    buckets = Buckets(clock.sleep, lambda: clock.now)
    for _ in range(3):
        buckets.take("start", "machine")

    clock.now += 3600
    for _ in range(4):
        buckets.take("start", "machine")

    assert clock.waited == [1.25]

"""How many jobs a worker process takes, and that no consumer waits while slots are free."""

import pytest

from bridge.transport.slots import Slots


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("bridge.transport.slots.time.monotonic", lambda: now[0])
    return now


def never_called() -> None:
    raise AssertionError("woken for nothing")


def run_jobs(slots: Slots, clock: list[float], jobs: int, seconds: float) -> int:
    """Take and finish `jobs` jobs in `seconds`. Returns how many slots can be reserved afterwards."""
    reserved = slots.reserve(never_called)
    slots.confirm(reserved, jobs)
    clock[0] += seconds
    for _ in range(jobs):
        slots.release()
    reserved = slots.reserve(never_called)
    slots.confirm(reserved, 0)
    return reserved


def test_without_a_known_rate_there_is_one_slot_for_each_thread(clock: list[float]) -> None:
    assert Slots(8).reserve(never_called) == 8


def test_a_tenth_of_a_second_of_short_jobs_is_prefetched(clock: list[float]) -> None:
    assert run_jobs(Slots(8), clock, 40, 0.02) == 8 + 200


def test_twenty_milliseconds_of_longer_jobs_are_prefetched(clock: list[float]) -> None:
    assert run_jobs(Slots(8), clock, 8, 0.05) == 8 + 3


def test_long_jobs_are_not_prefetched(clock: list[float]) -> None:
    assert run_jobs(Slots(8), clock, 8, 2.0) == 8


def test_the_prefetch_is_forgotten_after_an_idle_second(clock: list[float]) -> None:
    slots = Slots(8)
    assert run_jobs(slots, clock, 40, 0.02) > 8
    clock[0] += 1.0

    assert slots.reserve(never_called) == 8


def test_a_poll_is_due_when_a_job_ends_and_few_slots_are_free(clock: list[float]) -> None:
    slots = Slots(2, stock=False)
    slots.confirm(slots.reserve(never_called), 2)

    assert slots.release()


def test_a_refused_consumer_is_woken_when_another_reserved_slots_and_found_nothing(clock: list[float]) -> None:
    slots, woken = Slots(2, stock=False), []
    first = slots.reserve(never_called)
    assert slots.reserve(lambda: woken.append("second")) == 0
    slots.confirm(0, 0)
    assert woken == []

    slots.confirm(first, 0)

    assert woken == ["second"]
    assert slots.reserve(never_called) == 2


def test_a_refused_consumer_is_not_woken_when_the_reserved_slots_were_filled(clock: list[float]) -> None:
    slots = Slots(2, stock=False)
    first = slots.reserve(never_called)
    assert slots.reserve(never_called) == 0

    slots.confirm(first, 2)

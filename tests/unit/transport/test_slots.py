"""How many jobs a worker process takes, and that nobody waits while slots are free."""

import pytest

from bridge.transport.slots import Slots


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("bridge.transport.slots.time.monotonic", lambda: now[0])
    return now


def nobody() -> None:
    raise AssertionError("woken for nothing")


def work_off(slots: Slots, clock: list[float], jobs: int, seconds: float) -> int:
    """So many jobs taken and done in this time; the slots free after it."""
    reserved = slots.reserve(nobody)
    slots.confirm(reserved, jobs)
    clock[0] += seconds
    for _ in range(jobs):
        slots.release()
    reserved = slots.reserve(nobody)
    slots.confirm(reserved, 0)
    return reserved


def test_at_first_there_is_a_slot_for_each_thread(clock: list[float]) -> None:
    assert Slots(8).reserve(nobody) == 8


def test_short_jobs_get_a_tenth_of_a_second_of_stock(clock: list[float]) -> None:
    assert work_off(Slots(8), clock, 40, 0.02) == 8 + 200


def test_jobs_of_some_milliseconds_get_just_the_way_to_the_next(clock: list[float]) -> None:
    assert work_off(Slots(8), clock, 8, 0.05) == 8 + 3


def test_long_jobs_get_none(clock: list[float]) -> None:
    assert work_off(Slots(8), clock, 8, 2.0) == 8


def test_the_stock_is_forgotten_after_a_quiet_while(clock: list[float]) -> None:
    slots = Slots(8)
    assert work_off(slots, clock, 40, 0.02) > 8
    clock[0] += 1.0

    assert slots.reserve(nobody) == 8


def test_a_job_that_ends_is_worth_a_look_when_slots_are_few(clock: list[float]) -> None:
    slots = Slots(2, stock=False)
    slots.confirm(slots.reserve(nobody), 2)

    assert slots.release()


def test_who_was_refused_for_a_look_that_found_nothing_is_woken(clock: list[float]) -> None:
    slots, woken = Slots(2, stock=False), []
    first = slots.reserve(nobody)
    assert slots.reserve(lambda: woken.append("second")) == 0
    slots.confirm(0, 0)
    assert woken == []

    slots.confirm(first, 0)

    assert woken == ["second"]
    assert slots.reserve(nobody) == 2


def test_who_was_refused_for_slots_that_filled_waits_for_them(clock: list[float]) -> None:
    slots = Slots(2, stock=False)
    first = slots.reserve(nobody)
    assert slots.reserve(nobody) == 0

    slots.confirm(first, 2)

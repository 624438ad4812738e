"""How many jobs a worker process takes, and that no consumer waits while slots are free."""

import pytest

from bridge.transport.slots import Room, Slots


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("bridge.transport.slots.time.monotonic", lambda: now[0])
    return now


def never_called() -> None:
    raise AssertionError("woken for nothing")


def run_jobs(slots: Slots, clock: list[float], jobs: int, seconds: float) -> int:
    """Take and finish `jobs` jobs in `seconds`. Returns how many slots can be reserved afterwards."""
    reserved = slots.reserve(never_called).jobs
    slots.confirm(reserved, jobs)
    clock[0] += seconds
    for _ in range(jobs):
        slots.release()
    reserved = slots.reserve(never_called).jobs
    slots.confirm(reserved, 0)
    return reserved


def test_without_a_known_rate_there_is_one_slot_for_each_thread(clock: list[float]) -> None:
    assert Slots(8).reserve(never_called) == Room(8)


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

    assert slots.reserve(never_called).jobs == 8


def test_a_poll_is_due_when_a_job_ends_and_few_slots_are_free(clock: list[float]) -> None:
    slots = Slots(2, stock=False)
    slots.confirm(slots.reserve(never_called).jobs, 2)

    assert slots.release()


def test_a_refused_consumer_is_woken_when_another_reserved_slots_and_found_nothing(clock: list[float]) -> None:
    slots, woken = Slots(2, stock=False), []
    first = slots.reserve(never_called).jobs
    assert slots.reserve(lambda: woken.append("second")) == Room(0)
    slots.confirm(0, 0)
    assert woken == []

    slots.confirm(first, 0)

    assert woken == ["second"]
    assert slots.reserve(never_called).jobs == 2


def test_a_refused_consumer_is_not_woken_when_the_reserved_slots_were_filled(clock: list[float]) -> None:
    slots = Slots(2, stock=False)
    first = slots.reserve(never_called).jobs
    assert slots.reserve(never_called).jobs == 0

    slots.confirm(first, 2)


def test_urgent_jobs_may_come_beyond_the_slots_while_less_urgent_ones_wait_here(clock: list[float]) -> None:
    least: list[int | None] = [None]
    slots = Slots(2, stock=False, least_urgent=lambda: least[0])
    slots.confirm(slots.reserve(never_called).jobs, 3)
    slots.release()
    assert slots.reserve(never_called) == Room(0)

    least[0] = -3
    assert slots.reserve(never_called) == Room(0, 2, -3)
    slots.confirm(0, 2)

    assert slots.reserve(never_called) == Room(0), "as many as there are threads, and no more"


def test_where_jobs_take_long_urgent_ones_are_left_to_others(clock: list[float]) -> None:
    slots = Slots(2, stock=False, least_urgent=lambda: 0)
    slots.confirm(slots.reserve(never_called).jobs, 3)
    slots.release()
    clock[0] += 0.2

    assert slots.reserve(never_called) == Room(0)


def test_the_next_job_that_ends_is_worth_a_look_after_an_urgent_one_was_published(clock: list[float]) -> None:
    least: list[int | None] = [None]
    slots = Slots(8, least_urgent=lambda: least[0])
    run_jobs(slots, clock, 40, 0.02)
    slots.confirm(slots.reserve(never_called).jobs, 208)
    assert not slots.urgent_waits(5)
    least[0] = 0
    assert slots.urgent_waits(5)
    assert not slots.urgent_waits(0)

    assert [slots.release() for _ in range(2)] == [True, False]


def test_nothing_goes_beyond_the_slots_of_a_process_that_belongs_to_suspects(clock: list[float]) -> None:
    assert Slots(2, takes_nothing=lambda: True, least_urgent=lambda: 0).reserve(never_called) == Room(0)


def test_each_job_that_ends_is_worth_a_look_while_urgent_ones_are_left(clock: list[float]) -> None:
    slots = Slots(8)
    run_jobs(slots, clock, 40, 0.02)
    slots.confirm(slots.reserve(never_called).jobs, 208, urgent_wait=True)

    assert [slots.release() for _ in range(3)] == [True, False, False]

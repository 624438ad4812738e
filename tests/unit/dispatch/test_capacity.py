"""How many more jobs may be handed over between two counts in Postgres."""

from uuid import uuid4

from bridge.dispatch.capacity import Capacity, Crowd
from bridge.job import Claim
from bridge.postgres.queue_rows import QueueCapacity
from bridge.transport.freed import FreedSlots, HandedOver


def counted(*queues: QueueCapacity) -> Capacity:
    capacity = Capacity("us")
    assert capacity.count_is_due(0.0)
    capacity.counted(queues, now=0.0, took=0.001)
    return capacity


def claims(queue: str, count: int) -> list[Claim]:
    return [Claim(uuid4(), 1, queue, "run") for _ in range(count)]


ALONE = QueueCapacity("coding", 8, 8, ["coding"])


def test_nothing_is_handed_over_before_a_count() -> None:
    assert Capacity("us").available({"coding": 100}) == {}


def test_jobs_ahead_are_added_to_the_free_slots_and_a_full_queue_is_left_out() -> None:
    capacity = counted(ALONE, QueueCapacity("reports", -3, 8, ["reports"]))

    assert capacity.available({"coding": 5, "reports": 3}) == {"coding": 13}


def test_claims_take_slots_and_settled_jobs_give_them_back() -> None:
    capacity = counted(ALONE)

    assert capacity.claimed(claims("coding", 8)) == {"coding": 8}
    assert capacity.available({}) == {}

    capacity.on_freed(FreedSlots({"coding": (3, 12)}, ["coding"]))
    assert capacity.available({}) == {"coding": 3}


def test_a_slot_serves_every_queue_of_its_worker() -> None:
    capacity = counted(QueueCapacity("a", 4, 4, ["a", "b"]), QueueCapacity("b", 4, 4, ["a", "b"]))

    capacity.claimed(claims("a", 3))
    assert capacity.available({}) == {"a": 1, "b": 1}

    capacity.on_freed(FreedSlots({"a": (2, 0)}, ["a", "b"]))
    assert capacity.available({}) == {"a": 3, "b": 3}


def test_hand_overs_of_another_bridge_take_slots_and_our_own_message_is_ignored() -> None:
    capacity = counted(ALONE)

    capacity.on_handed_over(HandedOver({"coding": 2}, by="another"))
    capacity.on_handed_over(HandedOver({"coding": 5}, by="us"))

    assert capacity.available({}) == {"coding": 6}


def test_a_count_is_due_after_a_second_or_when_a_worker_starts() -> None:
    capacity = counted(ALONE)
    assert not capacity.count_is_due(0.5)
    assert capacity.count_is_due(1.0)

    capacity.counted([ALONE], now=1.0, took=0.001)
    capacity.on_freed(FreedSlots({}, []))
    assert capacity.count_is_due(1.1)


def test_a_slow_count_is_repeated_less_often() -> None:
    capacity = Capacity("us")
    capacity.counted([ALONE], now=0.0, took=0.1)

    assert not capacity.count_is_due(4.9)
    assert capacity.count_is_due(5.0)


def test_a_count_that_found_no_worker_is_repeated_soon() -> None:
    capacity = Capacity("us")
    capacity.counted([], now=0.0, took=0.1)

    assert capacity.count_is_due(1.0)


def test_a_queue_is_crowded_when_more_is_handed_over_than_there_are_slots() -> None:
    capacity = counted(
        QueueCapacity("a", -2, 4, ["a", "b"], 5),
        QueueCapacity("b", -2, 4, ["a", "b"], -1),
        QueueCapacity("full", 0, 4, ["full"]),
        QueueCapacity("ahead", -2, 4, ["ahead"], 0),
    )

    assert capacity.crowds({"ahead": 3}) == {"a": Crowd(4, -1), "b": Crowd(4, -1)}

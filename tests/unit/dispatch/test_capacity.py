"""How many more jobs may be handed over, between two counts."""

import json
from uuid import uuid4

import pytest

from bridge.dispatch.capacity import Room
from bridge.job import Claim
from bridge.postgres.queue_rows import QueueRoom


def counted(*queues: QueueRoom) -> Room:
    room = Room("us")
    assert room.count_is_due(0.0)
    room.counted(queues, now=0.0, took=0.001)
    return room


def claims(queue: str, count: int) -> list[Claim]:
    return [Claim(uuid4(), 1, queue, "run") for _ in range(count)]


ALONE = QueueRoom("coding", 8, 8, ["coding"])


def test_nothing_is_handed_over_before_a_count() -> None:
    assert Room("us").room({"coding": 100}) == {}


def test_what_is_ahead_comes_on_top_and_a_full_queue_is_left_out() -> None:
    room = counted(ALONE, QueueRoom("reports", -3, 8, ["reports"]))

    assert room.room({"coding": 5, "reports": 3}) == {"coding": 13}


def test_claims_take_room_and_ended_jobs_give_it_back() -> None:
    room = counted(ALONE)

    assert room.claimed(claims("coding", 8)) == {"coding": 8}
    assert room.room({}) == {}

    assert room.heard(json.dumps({"settled": {"coding": [3, 12]}, "queues": ["coding"]}))
    assert room.room({}) == {"coding": 3}


def test_a_slot_serves_every_queue_of_its_worker() -> None:
    room = counted(QueueRoom("a", 4, 4, ["a", "b"]), QueueRoom("b", 4, 4, ["a", "b"]))

    room.claimed(claims("a", 3))
    assert room.room({}) == {"a": 1, "b": 1}

    room.heard(json.dumps({"settled": {"a": [2, 0]}, "queues": ["a", "b"]}))
    assert room.room({}) == {"a": 3, "b": 3}


def test_what_another_bridge_hands_over_is_taken_and_our_own_word_is_not_heard_twice() -> None:
    room = counted(ALONE)

    assert not room.heard(json.dumps({"handed": {"coding": 2}, "by": "another"}))
    assert not room.heard(json.dumps({"handed": {"coding": 5}, "by": "us"}))

    assert room.room({}) == {"coding": 6}


def test_a_count_is_due_after_a_second_or_when_a_worker_begins() -> None:
    room = counted(ALONE)
    assert not room.count_is_due(0.5)
    assert room.count_is_due(1.0)

    room.counted([ALONE], now=1.0, took=0.001)
    room.heard(json.dumps({"settled": {}, "queues": []}))
    assert room.count_is_due(1.1)


def test_a_slow_count_is_a_rare_one() -> None:
    room = Room("us")
    room.counted([ALONE], now=0.0, took=0.1)

    assert not room.count_is_due(4.9)
    assert room.count_is_due(5.0)


def test_a_count_of_nobody_is_repeated_soon() -> None:
    room = Room("us")
    room.counted([], now=0.0, took=0.1)

    assert room.count_is_due(1.0)


@pytest.mark.parametrize(
    "said",
    [
        None, "", "{", "[]", '{"settled": 1}', '{"handed": 7}', '{"queues": ["coding"]}',
        '{"settled": {"coding": [1e300, 1]}, "queues": ["coding"]}',
        '{"settled": {"coding": [-9, 1]}, "queues": ["coding"]}',
        '{"handed": {"coding": 3000000000}, "by": "x"}', '{"handed": {"coding": -3000000000}, "by": "x"}',
    ],
)  # fmt: skip
def test_nonsense_is_left_alone(said: str | None) -> None:
    room = counted(ALONE)

    room.heard(said)

    assert room.room({}) == {"coding": 8}

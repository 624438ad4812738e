"""What is claimed though there is no room for it, since it is more urgent than what waits."""

from collections.abc import Sequence
from uuid import uuid4

from bridge.dispatch.capacity import Crowd
from bridge.dispatch.overtaking import Overtaking, Room
from bridge.job import Claim


class Book:
    """Which claims wait for their start."""

    def __init__(self) -> None:
        self.waiting: set[Claim] = set()

    def unstarted(self, claims: Sequence[Claim]) -> set[Claim]:
        return self.waiting & set(claims)


def urgent(queue: str = "a") -> Claim:
    return Claim(uuid4(), 1, queue, "run", 9)


def test_without_a_crowd_and_a_hint_there_is_what_is_available() -> None:
    assert Overtaking(Book().unstarted).rooms({"a": 7}, {}, {}, 0.0) == {"a": Room(7)}


def test_a_crowded_queue_is_looked_at_now_and_then_for_what_overtakes_the_crowd() -> None:
    overtaking, crowds = Overtaking(Book().unstarted), {"a": Crowd(4, 5)}

    found = [overtaking.rooms({"b": 1}, {}, crowds, now) for now in (1.0, 1.01, 1.021)]

    assert found == [{"b": Room(1), "a": Room(4, 6)}, {"b": Room(1)}, {"b": Room(1), "a": Room(4, 6)}]


def test_so_many_overtake_a_crowd_as_there_are_slots_and_more_when_these_started() -> None:
    book, crowds = Book(), {"a": Crowd(2, 0)}
    overtaking, first, second = Overtaking(book.unstarted), urgent(), urgent()
    overtaking.rooms({}, {}, crowds, 1.0)
    overtaking.claimed([first, second, urgent("b")])
    book.waiting = {first, second}
    assert overtaking.rooms({}, {}, crowds, 2.0) == {}

    book.waiting = {second}
    assert overtaking.rooms({}, {}, crowds, 3.0) == {"a": Room(1, 1)}


def test_a_queue_where_claims_are_kept_back_is_looked_at_for_the_more_urgent() -> None:
    overtaking = Overtaking(Book().unstarted)

    assert overtaking.rooms({"a": 7}, {"a": 6}, {}, 1.0) == {"a": Room(7, 6)}
    assert overtaking.rooms({"a": 7}, {"a": 6}, {}, 1.01) == {}


def test_after_a_hint_urgent_jobs_are_claimed_alone_and_once() -> None:
    overtaking, crowds = Overtaking(Book().unstarted), {"c": Crowd(4, 5)}
    overtaking.rooms({}, {}, {}, 1.0)
    overtaking.hint(9)

    assert overtaking.rooms({"a": 7, "b": 2}, {"b": 10}, crowds, 1.001) == {
        "a": Room(7, 9), "b": Room(2, 10), "c": Room(4, 6),
    }  # fmt: skip
    assert not overtaking.is_hinted
    assert overtaking.rooms({"a": 7}, {}, crowds, 1.002) == {"a": Room(7)}

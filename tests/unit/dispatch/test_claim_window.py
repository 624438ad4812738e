"""Where a claim looks: everywhere while looks are quick, behind the last claims while they are slow."""

from uuid import uuid4

from bridge.dispatch.claim_window import Frontier
from bridge.job import Claim
from bridge.postgres.queue_rows import Span

ROOM = {"coding": 10}


def claim(priority: int, seq: int) -> Claim:
    return Claim(uuid4(), 1, "coding", "run", priority, seq)


def slow(claims: list[Claim], latest: int | None = None) -> Frontier:
    frontier = Frontier()
    for _ in range(2):
        frontier.looked_everywhere(claims, ROOM, took=0.1, latest=latest, now=100.0)
    return frontier


def test_quick_looks_are_full_ones() -> None:
    frontier = Frontier()
    assert frontier.full_look_is_due(0.0)
    frontier.looked_everywhere([claim(0, 7)], ROOM, took=0.002, latest=None, now=0.0)

    assert frontier.full_look_is_due(0.0)
    assert frontier.spans(ROOM, full=True) == [Span("coding", 10)]


def test_a_slow_look_is_followed_by_short_ones_for_a_while() -> None:
    frontier = slow([claim(0, 7)])

    assert not frontier.full_look_is_due(100.9)
    assert frontier.full_look_is_due(101.0)


def test_one_slow_look_is_not_enough() -> None:
    frontier = Frontier()
    frontier.looked_everywhere([claim(0, 7)], ROOM, took=0.5, latest=None, now=100.0)

    assert frontier.full_look_is_due(100.0)


def test_a_full_look_is_never_long_in_coming() -> None:
    frontier = Frontier()
    for _ in range(2):
        frontier.looked_everywhere([], ROOM, took=60.0, latest=50, now=100.0)

    assert frontier.full_look_is_due(101.0)


def test_short_looks_miss_no_priority_and_skip_what_was_claimed() -> None:
    frontier = slow([claim(5, 40), claim(0, 7), claim(0, 9)])

    spans = frontier.spans(ROOM, full=False)

    assert [(span.low, span.high, span.after) for span in spans] == [
        (6, 2**31 - 1, -1),
        (5, 5, 40),
        (1, 4, -1),
        (0, 0, 9),
        (-(2**31), -1, -1),
    ]


def test_a_queue_that_was_emptied_is_passed_as_a_whole() -> None:
    frontier = slow([claim(0, 7)], latest=50)

    assert {span.after for span in frontier.spans(ROOM, full=False)} == {50}


def test_a_queue_that_gave_nothing_is_not_passed() -> None:
    frontier = slow([], latest=50)

    assert {span.after for span in frontier.spans(ROOM, full=False)} == {-1}


def test_a_queue_with_more_than_its_room_is_not() -> None:
    frontier = slow([claim(0, n) for n in range(10)], latest=50)

    assert {span.after for span in frontier.spans(ROOM, full=False)} == {-1, 9}


def test_many_priorities_are_not_kept_apart_for_ever() -> None:
    frontier = slow([])
    frontier.looked([claim(n, n) for n in range(1000)])

    assert len(frontier.spans(ROOM, full=False)) <= 101


def test_a_quick_look_ends_the_short_ones() -> None:
    frontier = slow([claim(0, 7)])
    frontier.looked_everywhere([], ROOM, took=0.001, latest=None, now=102.0)

    assert frontier.full_look_is_due(102.0)

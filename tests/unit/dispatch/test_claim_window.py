"""Where a claim scans: the whole queue while scans are quick, from the last claimed job on while they are slow."""

from uuid import uuid4

from bridge.dispatch.claim_window import ClaimWindow
from bridge.job import Claim
from bridge.postgres.queue_rows import Span

AVAILABLE = {"coding": 10}


def claim(priority: int, seq: int) -> Claim:
    return Claim(uuid4(), 1, "coding", "run", priority, seq)


def slow(claims: list[Claim], latest: int | None = None) -> ClaimWindow:
    window = ClaimWindow()
    for _ in range(2):
        window.scanned_all(claims, AVAILABLE, took=0.1, latest=latest, now=100.0)
    return window


def test_quick_scans_are_full_ones() -> None:
    window = ClaimWindow()
    assert window.full_scan_is_due(0.0)
    window.scanned_all([claim(0, 7)], AVAILABLE, took=0.002, latest=None, now=0.0)

    assert window.full_scan_is_due(0.0)
    assert window.spans(AVAILABLE, full=True) == [Span("coding", 10)]


def test_two_slow_scans_are_followed_by_short_ones_for_a_while() -> None:
    window = slow([claim(0, 7)])

    assert not window.full_scan_is_due(100.9)
    assert window.full_scan_is_due(101.0)


def test_one_slow_scan_is_not_enough() -> None:
    window = ClaimWindow()
    window.scanned_all([claim(0, 7)], AVAILABLE, took=0.5, latest=None, now=100.0)

    assert window.full_scan_is_due(100.0)


def test_a_full_scan_follows_after_a_second_at_most() -> None:
    window = ClaimWindow()
    for _ in range(2):
        window.scanned_all([], AVAILABLE, took=60.0, latest=50, now=100.0)

    assert window.full_scan_is_due(101.0)


def test_short_scans_miss_no_priority_and_skip_what_was_claimed() -> None:
    window = slow([claim(5, 40), claim(0, 7), claim(0, 9)])

    spans = window.spans(AVAILABLE, full=False)

    assert [(span.low, span.high, span.after) for span in spans] == [
        (6, 2**31 - 1, -1),
        (5, 5, 40),
        (1, 4, -1),
        (0, 0, 9),
        (-(2**31), -1, -1),
    ]


def test_a_queue_that_was_emptied_is_skipped_as_a_whole() -> None:
    window = slow([claim(0, 7)], latest=50)

    assert {span.after for span in window.spans(AVAILABLE, full=False)} == {50}


def test_a_queue_without_claims_is_not_skipped() -> None:
    window = slow([], latest=50)

    assert {span.after for span in window.spans(AVAILABLE, full=False)} == {-1}


def test_a_queue_with_more_jobs_than_free_slots_is_not_skipped() -> None:
    window = slow([claim(0, n) for n in range(10)], latest=50)

    assert {span.after for span in window.spans(AVAILABLE, full=False)} == {-1, 9}


def test_the_number_of_tracked_priorities_is_bounded() -> None:
    window = slow([])
    window.scanned([claim(n, n) for n in range(1000)])

    assert len(window.spans(AVAILABLE, full=False)) <= 101


def test_a_quick_scan_ends_the_short_ones() -> None:
    window = slow([claim(0, 7)])
    window.scanned_all([], AVAILABLE, took=0.001, latest=None, now=102.0)

    assert window.full_scan_is_due(102.0)

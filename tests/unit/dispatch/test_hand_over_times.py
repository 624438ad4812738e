"""Hand-overs are counted by minute, queue and how long they took."""

import threading
import time
from collections import Counter

import pytest

from bridge.dispatch.hand_over_times import ClaimTimes, HandOverTimes
from bridge.postgres.queue_rows import HandOvers


def test_batches_of_a_minute_and_queue_are_counted_by_what_they_took(monkeypatch: pytest.MonkeyPatch) -> None:
    times = HandOverTimes()
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    for now, queue, jobs, took in (
        (59.9, "a", 3, 0.01),
        (60.0, "a", 1, 0.01),
        (119.9, "a", 2, 0.0095),
        (61, "b", 1, 9),
    ):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        times.count(queue, jobs, 100.0 - took)

    assert times.take() == {
        HandOvers(0, "a", 11): 3,
        HandOvers(60, "a", 11): 1,
        HandOvers(60, "a", 10): 2,
        HandOvers(60, "b", 40): 1,
    }
    assert not times.take()


class Interrupted(Counter[HandOvers]):
    """Lets other threads go on between the reading and the writing of a number."""

    def __missing__(self, key: HandOvers) -> int:
        time.sleep(0.05)
        return 0


def test_what_threads_count_at_the_same_time_is_complete() -> None:
    times = HandOverTimes()
    times._jobs = Interrupted()

    threads = [threading.Thread(target=times.count, args=("a", 1, time.monotonic())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert times.take().total() == 4


def test_what_was_claimed_last_is_published_first() -> None:
    claims = ClaimTimes()
    claims.claimed(5, 1.0)
    assert claims.take(2) == [(2, 1.0)]
    claims.claimed(4, 2.0)

    assert claims.take(1) == [(1, 2.0)]
    assert claims.take(5) == [(3, 2.0), (2, 1.0)]
    claims.claimed(1, 3.0)
    assert claims.take(2) == [(1, 3.0), (1, 1.0)]

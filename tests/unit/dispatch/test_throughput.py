"""How far ahead of the free slots jobs are handed over, and how many in one message."""

import json

import pytest

from bridge.dispatch.throughput import Pace

SLOTS = {"coding": 16}


def settle(pace: Pace, *, per_second: float, seconds: float, every: float = 0.05, job_ms: float = 1.0) -> float:
    now = 0.0
    while now < seconds:
        now += every
        jobs = max(1, int(per_second * every))
        pace.heard(json.dumps({"settled": {"coding": [jobs, jobs * job_ms]}}), now)
    return now


def test_nothing_goes_ahead_before_anything_was_settled() -> None:
    assert Pace().ahead(0.0, SLOTS) == {}


def test_short_jobs_get_a_fifth_of_a_second_of_stock() -> None:
    pace = Pace()
    now = settle(pace, per_second=2000, seconds=2)

    assert 380 <= pace.ahead(now, SLOTS)["coding"] <= 420


def test_the_first_words_count_in_full() -> None:
    pace = Pace()
    pace.heard(json.dumps({"settled": {"coding": [8, 0.4]}}), 10.0)
    pace.heard(json.dumps({"settled": {"coding": [80, 4]}}), 10.02)

    assert 500 <= pace.ahead(10.02, SLOTS)["coding"] <= 800
    assert pace.together("coding", 16) > 10


def test_long_jobs_that_end_together_are_not_taken_for_short_ones() -> None:
    pace = Pace()
    for _ in range(2):
        pace.heard(json.dumps({"settled": {"coding": [8, 8 * 500]}}), 10.0)

    assert pace.ahead(10.0, SLOTS) == {"coding": 6}  # what 16 threads do in a fifth of a second
    assert pace.together("coding", 16) == 1


def test_long_jobs_get_none() -> None:
    pace = Pace()
    now = settle(pace, per_second=2, seconds=10, every=0.5, job_ms=8000)

    assert pace.ahead(now, SLOTS) == {}


def test_a_queue_that_went_quiet_is_forgotten() -> None:
    pace = Pace()
    now = settle(pace, per_second=2000, seconds=1)

    assert pace.ahead(now + 1.1, SLOTS) == {}
    assert pace.ahead(now, SLOTS) == {}


def test_the_stock_is_bounded() -> None:
    pace = Pace()
    now = settle(pace, per_second=1_000_000, seconds=1, job_ms=0)

    assert pace.ahead(now, SLOTS)["coding"] == 2000


def test_short_jobs_travel_together() -> None:
    pace = Pace()
    settle(pace, per_second=5000, seconds=2, job_ms=0.5)

    assert 30 <= pace.together("coding", 16) <= 40
    assert pace.together("another", 16) == 1


def test_long_jobs_travel_alone_however_many_there_are() -> None:
    pace = Pace()
    settle(pace, per_second=8000, seconds=2, job_ms=1000)

    assert pace.together("coding", 10_000) == 1


@pytest.mark.parametrize(
    "said",
    [
        None, "", "[1]", "{", '{"settled": 7}', '{"settled": {"coding": ["x", 1]}}', "[" * 9999,
        '{"settled": {"coding": [1, NaN]}}', '{"settled": {"coding": [1, Infinity]}}',
        '{"settled": {"coding": [1, -1]}}',
        '{"settled": {"coding": [-1, 1]}}', '{"settled": {"coding": [1e308, 1]}}',
        f'{{"settled": {{"coding": [1{"0" * 400}, 1]}}}}',
    ],
)  # fmt: skip
def test_nonsense_is_left_alone(said: str | None) -> None:
    pace = Pace()

    pace.heard(said, 1.0)

    assert pace.ahead(1.0, SLOTS) == {}


@pytest.mark.parametrize(("job_ms", "line"), [(0.5, 64), (100, 30), (4000, 1)])
def test_a_line_is_what_one_thread_does_in_three_seconds(job_ms: float, line: int) -> None:
    pace = Pace()
    assert pace.in_line() == 1, "nothing was seen"

    settle(pace, per_second=20, seconds=1, job_ms=job_ms)

    assert pace.in_line() == line


def test_the_longest_jobs_decide_the_length_of_a_line() -> None:
    pace = Pace()
    pace.heard(json.dumps({"settled": {"coding": [1, 500.0], "reports": [10, 10.0]}}), 1.0)

    assert pace.in_line() == 6

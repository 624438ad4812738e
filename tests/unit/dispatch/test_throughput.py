"""How far ahead of the free slots jobs are handed over, and how many in one message."""

import pytest

from bridge.dispatch.throughput import Throughput
from bridge.transport.freed import FreedSlots

SLOTS = {"coding": 16}


def settle(
    throughput: Throughput, *, per_second: float, seconds: float, every: float = 0.05, job_ms: float = 1.0
) -> float:
    now = 0.0
    while now < seconds:
        now += every
        jobs = max(1, int(per_second * every))
        throughput.on_freed(FreedSlots({"coding": (jobs, jobs * job_ms)}, ["coding"]), now)
    return now


def test_no_job_is_handed_over_ahead_before_one_was_settled() -> None:
    assert Throughput().ahead(0.0, SLOTS) == {}


def test_short_jobs_are_handed_over_a_fifth_of_a_second_ahead() -> None:
    throughput = Throughput()
    now = settle(throughput, per_second=2000, seconds=2)

    assert 380 <= throughput.ahead(now, SLOTS)["coding"] <= 420


def test_the_first_reports_count_in_full() -> None:
    throughput = Throughput()
    throughput.on_freed(FreedSlots({"coding": (8, 0.4)}, ["coding"]), 10.0)
    throughput.on_freed(FreedSlots({"coding": (80, 4)}, ["coding"]), 10.02)

    assert 500 <= throughput.ahead(10.02, SLOTS)["coding"] <= 800
    assert throughput.jobs_per_message("coding", 16) > 10


def test_long_jobs_that_end_together_are_not_mistaken_for_short_ones() -> None:
    throughput = Throughput()
    for _ in range(2):
        throughput.on_freed(FreedSlots({"coding": (8, 8 * 500)}, ["coding"]), 10.0)

    assert throughput.ahead(10.0, SLOTS) == {"coding": 6}  # what 16 threads do in a fifth of a second
    assert throughput.jobs_per_message("coding", 16) == 1


def test_long_jobs_are_not_handed_over_ahead() -> None:
    throughput = Throughput()
    now = settle(throughput, per_second=2, seconds=10, every=0.5, job_ms=8000)

    assert throughput.ahead(now, SLOTS) == {}


def test_the_rate_of_an_idle_queue_is_forgotten() -> None:
    throughput = Throughput()
    now = settle(throughput, per_second=2000, seconds=1)

    assert throughput.ahead(now + 1.1, SLOTS) == {}
    assert throughput.ahead(now, SLOTS) == {}


def test_the_jobs_ahead_are_bounded() -> None:
    throughput = Throughput()
    now = settle(throughput, per_second=1_000_000, seconds=1, job_ms=0)

    assert throughput.ahead(now, SLOTS)["coding"] == 2000


def test_short_jobs_share_messages() -> None:
    throughput = Throughput()
    settle(throughput, per_second=5000, seconds=2, job_ms=0.5)

    assert 30 <= throughput.jobs_per_message("coding", 16) <= 40
    assert throughput.jobs_per_message("another", 16) == 1


def test_each_long_job_has_a_message_of_its_own_however_many_there_are() -> None:
    throughput = Throughput()
    settle(throughput, per_second=8000, seconds=2, job_ms=1000)

    assert throughput.jobs_per_message("coding", 10_000) == 1


@pytest.mark.parametrize(("job_ms", "jobs"), [(0.5, 64), (100, 30), (4000, 1)])
def test_a_batch_of_suspects_has_as_many_jobs_as_one_thread_does_in_three_seconds(job_ms: float, jobs: int) -> None:
    throughput = Throughput()
    assert throughput.suspects_per_batch() == 1, "nothing was seen"

    settle(throughput, per_second=20, seconds=1, job_ms=job_ms)

    assert throughput.suspects_per_batch() == jobs


def test_the_longest_jobs_decide_the_size_of_a_batch_of_suspects() -> None:
    throughput = Throughput()
    throughput.on_freed(FreedSlots({"coding": (1, 500.0), "reports": (10, 10.0)}, ["coding"]), 1.0)

    assert throughput.suspects_per_batch() == 6

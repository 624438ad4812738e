"""The threads that run jobs survive whatever Dramatiq's code around an actor raises."""

from dramatiq.middleware import TimeLimitExceeded

from tests.support.fleet import Add, AtTheEnd, Fleet, finished, process_of
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_a_time_limit_that_is_exceeded_after_the_actor_raised_ends_no_thread(
    fleet: Fleet, rows: Rows, add: Add
) -> None:
    def exceed_limit() -> None:
        raise TimeLimitExceeded

    with AtTheEnd(exceed_limit):
        job = finished(rows, add("explode", max_retries=1))

    assert (job["status"], job["error_message"]) == ("failed", "ValueError: attempt 1")
    assert all(thread.is_alive() for thread in fleet.workers[0].workers)
    eventually(lambda: process_of(fleet).runs.all() == [], what="the report's answer")

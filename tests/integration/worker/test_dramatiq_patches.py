"""The threads that work jobs live on, whatever comes out of Dramatiq's code around an actor."""

from dramatiq.middleware import TimeLimitExceeded

from tests.support.fleet import Add, AtTheEnd, Fleet, finished, process_of
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_a_time_limit_that_falls_due_after_the_actor_raised_ends_no_thread(fleet: Fleet, rows: Rows, add: Add) -> None:
    def fall_due() -> None:
        raise TimeLimitExceeded

    with AtTheEnd(fall_due):
        job = finished(rows, add("explode", max_retries=1))

    assert (job["status"], job["error_message"]) == ("failed", "ValueError: attempt 1")
    assert all(thread.is_alive() for thread in fleet.workers[0].workers)
    eventually(lambda: process_of(fleet).runs.all() == [], what="the report's answer")

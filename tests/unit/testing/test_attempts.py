"""A job runs attempt after attempt, until it has ended."""

from datetime import timedelta
from typing import Any

from dramatiq import Middleware
from dramatiq.middleware import SkipMessage

from bridge import Fail, Job, Release, Retry, actor
from bridge.job import Status
from bridge.testing import TestingBroker, run_job


def test_failures_are_tried_again_up_to_the_last_attempt(broker: TestingBroker) -> None:
    @actor(max_retries=3)
    def explode(job: Job) -> None:
        raise ValueError(f"attempt {job.attempt}")

    ended = run_job(explode)

    assert ended.status is Status.FAILED
    assert list(ended.errors) == [f"ValueError: attempt {n}" for n in (1, 2, 3)]
    assert (ended.error, ended.attempts) == ("ValueError: attempt 3", 3)
    assert run_job(explode, max_retries=1).attempts == 1


def test_a_job_that_fails_once_and_then_succeeds(broker: TestingBroker) -> None:
    @actor
    def unsteady(job: Job) -> int:
        if job.attempt == 1:
            raise Retry("not yet", delay=30)
        return job.attempt

    ended = run_job(unsteady)

    assert (ended.status, ended.result, ended.error) == (Status.COMPLETED, 2, "not yet")
    assert list(ended.waits) == [timedelta(seconds=30)]


def test_fail_is_final(broker: TestingBroker) -> None:
    @actor
    def give_up(job: Job) -> None:
        raise Fail("no point")

    ended = run_job(give_up)

    assert (ended.status, ended.error, ended.attempts) == (Status.FAILED, "no point", 1)


def test_events_are_kept_in_order(broker: TestingBroker) -> None:
    @actor
    def narrate(job: Job) -> None:
        for n in range(3):
            job.emit("thinking", {"n": n})

    assert list(run_job(narrate).events) == [("thinking", {"n": n}) for n in range(3)]


def test_an_actor_flushes_and_enters_interruptible_blocks(broker: TestingBroker) -> None:
    ended_calls = []

    @actor
    def read(job: Job) -> int:
        job.emit("thinking", {})
        job.flush(5)
        with job.interruptible(lambda: ended_calls.append(1)):
            return 7

    ended = run_job(read)

    assert (ended.result, list(ended.events), ended_calls) == (7, [("thinking", {})], [])


def test_a_job_that_is_handed_back_waits_for_its_next_attempt(broker: TestingBroker) -> None:
    @actor
    def not_now(job: Job) -> None:
        raise Release(delay=5)

    assert run_job(not_now).status is Status.PENDING


def test_a_job_that_a_middleware_skips_is_cancelled(broker: TestingBroker) -> None:
    class Closed(Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:
            raise SkipMessage("closed on Sundays")

    @actor
    def never(job: Job) -> None:
        raise AssertionError("it ran")

    broker.add_middleware(Closed())
    ended = run_job(never)

    assert (ended.status, ended.error) == (Status.CANCELLED, "skipped by Closed: closed on Sundays")


def test_a_job_that_a_middleware_marks_as_failed_is_not_run_again(broker: TestingBroker) -> None:
    class Strict(Middleware):
        def after_process_message(self, broker: Any, message: Any, **_: Any) -> None:
            message.fail()

    @actor(max_retries=3)
    def explode(job: Job) -> None:
        raise ValueError("no")

    broker.add_middleware(Strict())
    ended = run_job(explode)

    assert (ended.status, ended.error, ended.attempts) == (Status.FAILED, "ValueError: no", 1)

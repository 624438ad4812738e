"""A job, and the exceptions by which an actor ends its attempt."""

from datetime import timedelta
from uuid import uuid4

import pytest

from bridge import Fail, Job, Retry, current_job
from bridge.job import Attempt, running_as


def test_a_job_shows_neither_prompt_nor_payload() -> None:
    job = Job(id=uuid4(), prompt="geheim", payload={"key": "geheim"}, session_id=uuid4())

    assert "geheim" not in repr(job)
    assert str(job.id) in repr(job)


def test_an_attempt_shows_neither_prompt_nor_payload() -> None:
    attempt = Attempt(
        uuid4(), None, "geheim", {"key": "geheim"}, priority=0, number=1, is_last=False, queue="q", actor="a"
    )

    assert "geheim" not in f"{attempt} {attempt!r}"
    assert str(attempt.job_id) in repr(attempt)


def test_a_job_built_by_hand_can_emit() -> None:
    Job(id=uuid4()).emit("terminal", {"output": "x"})


def test_current_job_is_known_only_inside_its_run() -> None:
    job = Job(id=uuid4())
    with running_as(job):
        assert current_job() is job
    with pytest.raises(RuntimeError, match="inside an actor only"):
        current_job()


def test_a_retry_takes_seconds_or_a_timedelta() -> None:
    assert Retry(delay=1.5).delay == timedelta(seconds=1.5)
    assert Retry(delay=timedelta(minutes=1)).delay == timedelta(minutes=1)
    assert Retry().delay is None
    assert str(Fail("no")) == "no"

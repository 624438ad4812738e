"""When a job that Postgres refuses is tried again. The rest is in tests/integration/dispatch/test_refusals.py."""

import logging
from uuid import uuid4

import pytest

from bridge.dispatch.refusals import Refusals
from bridge.job import Claim
from bridge.postgres.queue_rows import Refusal


def test_a_refused_job_is_retried_at_intervals_that_double_up_to_five_minutes() -> None:
    refusals, one = Refusals(), Refusal(uuid4(), "double", "no")
    now, waits = 0.0, []
    for _ in range(11):
        refusals.claimed([], [one], now)
        wait = next(seconds for seconds in range(1, 400) if not refusals.skip(now + seconds))
        waits.append(wait)
        now += wait

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_when_one_refused_job_is_claimed_the_others_are_retried_at_once() -> None:
    refusals, first, second = Refusals(), Refusal(uuid4(), "double", "no"), Refusal(uuid4(), "double", "no")
    refusals.claimed([], [first, second], 0.0)
    refusals.claimed([], [second], 1.0)
    assert refusals.skip(2.0) == [second.job_id]

    refusals.claimed([Claim(first.job_id, 1, "tests", "double")], [], 2.0)

    assert refusals.skip(2.0) == []
    assert refusals


def test_a_job_that_is_not_refused_again_is_forgotten() -> None:
    refusals = Refusals()
    refusals.claimed([], [Refusal(uuid4(), "double", "no")], 0.0)

    assert refusals.skip(602.0) == []
    assert not refusals


def test_of_too_many_refused_jobs_the_first_are_kept_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bridge.postgres.refused_rows._LIMIT", 2)
    refusals, refused = Refusals(), [Refusal(uuid4(), "double", "no") for _ in range(4)]
    for now in (0.0, 0.5):
        refusals.claimed([], refused, now)

    assert refusals.is_full
    assert refusals.skip(0.6) == [one.job_id for one in refused[:2]]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2

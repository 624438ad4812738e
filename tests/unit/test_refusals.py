"""When a job that Postgres refuses is tried again. The rest is in tests/integration/test_refusals.py."""

import logging
from uuid import uuid4

import pytest

from bridge.job import Claim, Refusal
from bridge.refusals import Refusals
from bridge.refused_rows import RefusedRows


def test_it_is_tried_ever_more_seldom_up_to_five_minutes() -> None:
    refusals, one = Refusals(), Refusal(uuid4(), "double", "no")
    now, waits = 0.0, []
    for _ in range(11):
        refusals.looked([], [one], now)
        wait = next(seconds for seconds in range(1, 400) if not refusals.skip(now + seconds))
        waits.append(wait)
        now += wait

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_one_that_gets_through_is_a_reason_to_try_the_others() -> None:
    refusals, first, second = Refusals(), Refusal(uuid4(), "double", "no"), Refusal(uuid4(), "double", "no")
    refusals.looked([], [first, second], 0.0)
    refusals.looked([], [second], 1.0)
    assert refusals.skip(2.0) == [second.job_id]

    refusals.looked([Claim(first.job_id, 1, "tests", "double")], [], 2.0)

    assert refusals.skip(2.0) == []
    assert refusals


def test_what_is_seen_no_more_is_forgotten() -> None:
    refusals = Refusals()
    refusals.looked([], [Refusal(uuid4(), "double", "no")], 0.0)

    assert refusals.skip(602.0) == []
    assert not refusals


def test_of_too_many_the_first_are_kept_and_one_line_tells(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bridge.refused_rows._KEPT_MOST", 2)
    refusals, refused = Refusals(), [Refusal(uuid4(), "double", "no") for _ in range(4)]
    for now in (0.0, 0.5):
        refusals.looked([], refused, now)

    assert refusals.is_full
    assert refusals.skip(0.6) == [one.job_id for one in refused[:2]]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_what_a_function_says_of_a_row_is_told_once_and_waits_longer_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows, job_id, what = RefusedRows(), uuid4(), "cannot be taken back now"
    rows.heard("mobvibe: session 1 is none of this")
    assert rows.skip(what) == []
    for _ in range(2):
        rows.heard(f"mobvibe: job {job_id} {what}: not today")

    assert rows.skip(what) == [job_id]
    assert rows.skip("cannot be handed over now") == []
    (record,) = caplog.records
    assert (vars(record)["jobId"], vars(record)["reason"]) == (str(job_id), "not today")

    rows.got_through(what, [job_id])
    assert rows.skip(what) == []

"""Warnings of Postgres about rows that it refuses to change: each is logged once, and retried at growing intervals."""

import logging
from uuid import uuid4

import pytest

from bridge.postgres.refused_rows import RefusedRows, RetryTimes


def test_a_refused_row_is_logged_once_and_waits_longer_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows, job_id, what = RefusedRows(), uuid4(), "cannot be taken back now"
    rows.on_notice("mobvibe: session 1 is none of this")
    assert rows.skip(what) == []
    for _ in range(2):
        rows.on_notice(f"mobvibe: job {job_id} {what}: not today")

    assert rows.skip(what) == [job_id]
    assert rows.skip("cannot be handed over now") == []
    (record,) = caplog.records
    assert record.message == "Job cannot be taken back now: Postgres refuses to change its row"
    assert (vars(record)["jobId"], vars(record)["reason"]) == (str(job_id), "not today")

    rows.succeeded(what, [job_id])
    assert rows.skip(what) == []


def test_a_refused_session_is_logged_once_for_each_status(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bridge.postgres.refused_rows._LIMIT", 2)
    rows, session_id = RefusedRows(), uuid4()
    for status in ("active", "active", "completed", "completed"):
        rows.on_notice(f"mobvibe: session {session_id} cannot be set to {status}: not today\nand more")
    assert [vars(record)["wanted"] for record in caplog.records] == ["active", "completed"]
    assert {(vars(record)["sessionId"], vars(record)["reason"]) for record in caplog.records} == {
        (str(session_id), "not today")
    }

    rows.on_notice(f"mobvibe: session {uuid4()} cannot be set to failed: not today")
    rows.on_notice(f"mobvibe: session {session_id} cannot be set to active: not today")
    assert len(caplog.records) == 4, "the memory is bounded: it starts anew"


@pytest.mark.parametrize("message", [None, "", "table does not exist, skipping", "mobvibe: something else"])
def test_other_notices_are_not_logged(caplog: pytest.LogCaptureFixture, message: str | None) -> None:
    RefusedRows().on_notice(message)

    assert caplog.records == []


def test_the_number_of_kept_rows_is_bounded_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bridge.postgres.refused_rows._LIMIT", 2)
    times, job_ids = RetryTimes(), [uuid4() for _ in range(4)]

    named = [times.refused(job_id, 0.0) for job_id in job_ids]

    assert named == [True, True, False, False]
    assert times.is_full
    assert times.skip(0.5) == job_ids[:2]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]

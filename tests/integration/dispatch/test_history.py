"""When the bridge records the history."""

import logging

import pytest

from bridge.dispatch.history import HistoryRecorder
from tests.support.rows import Rows
from tests.support.steps import Steps

RECORDED = "SELECT count(*) FROM queue_history WHERE seconds = 60"


def test_ended_minutes_are_recorded_at_once_and_then_once_a_minute(steps: Steps, rows: Rows) -> None:
    recorder = HistoryRecorder(steps.queue)

    recorder.step()
    assert rows.value(RECORDED) == 60
    rows.all("DELETE FROM queue_history")
    recorder.step()

    assert rows.value(RECORDED) == 0


def test_old_rows_are_deleted(steps: Steps, rows: Rows) -> None:
    rows.all("INSERT INTO queue_history (seconds, at, queue) VALUES (60, now() - interval '26 hours', 'old')")

    HistoryRecorder(steps.queue).step()

    assert rows.all("SELECT FROM queue_history WHERE queue = 'old'") == []


def test_the_older_schema_has_no_history_and_is_served(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.all("DROP FUNCTION record_history")

    HistoryRecorder(steps.queue).step()

    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []

"""When the bridge records the history."""

import logging
import time

import pytest

from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.dispatch.history import HistoryRecorder
from tests.support.rows import Rows
from tests.support.steps import Steps

RECORDED = "SELECT count(*) FROM queue_history WHERE seconds = 60"


def test_ended_minutes_are_recorded_at_once_and_then_once_a_minute(steps: Steps, rows: Rows) -> None:
    recorder = HistoryRecorder(steps.queue, HandOverTimes())

    recorder.step()
    assert rows.value(RECORDED) == 60
    rows.all("DELETE FROM queue_history")
    recorder.step()

    assert rows.value(RECORDED) == 0


def test_old_rows_are_deleted(steps: Steps, rows: Rows) -> None:
    rows.all("INSERT INTO queue_history (seconds, at, queue) VALUES (60, now() - interval '26 hours', 'old')")

    HistoryRecorder(steps.queue, HandOverTimes()).step()

    assert rows.all("SELECT FROM queue_history WHERE queue = 'old'") == []


def test_the_older_schema_has_no_history_and_is_served(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.all("DROP FUNCTION record_history")

    HistoryRecorder(steps.queue, HandOverTimes()).step()

    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


OF_HOURS = "SELECT sum(attempts)::int FROM latency_history WHERE stage = 'hand_over' AND seconds = 3600"


def test_each_bridge_adds_its_hand_overs_to_those_of_others(steps: Steps, rows: Rows) -> None:
    bridges = HandOverTimes(), HandOverTimes()
    for times in bridges:
        times.count("coding", 2, time.monotonic() - 0.05)
        times.count("mail", 1, time.monotonic() - 0.05)

    for times in bridges:
        HistoryRecorder(steps.queue, times).step()
        HistoryRecorder(steps.queue, times).step()  # with nothing to add

    added = "SELECT seconds, queue, sum(attempts)::int FROM latency_history GROUP BY 1, 2 ORDER BY 1, 2"
    assert [tuple(row.values()) for row in rows.all(added)] == [
        (60, "coding", 4), (60, "mail", 2), (3600, "coding", 4), (3600, "mail", 2),
    ]  # fmt: skip
    rows.all("DELETE FROM queue_history")
    steps.queue.record_history()
    assert rows.value(OF_HOURS) == 6, "what a bridge has added to an hour is not added up once more"


def test_hand_overs_are_added_where_another_bridge_has_recorded_the_minute(steps: Steps, rows: Rows) -> None:
    steps.queue.record_history()
    times = HandOverTimes()
    times.count("coding", 1, time.monotonic())

    HistoryRecorder(steps.queue, times).step()

    assert rows.value("SELECT count(*) FROM latency_history WHERE stage = 'hand_over'") == 2


def test_on_the_older_schema_hand_overs_do_not_pile_up(steps: Steps, rows: Rows) -> None:
    rows.all("DROP TABLE latency_history")
    times = HandOverTimes()
    times.count("coding", 1, time.monotonic())

    HistoryRecorder(steps.queue, times).step()

    assert not times.take()

"""Notifications: the original JSON for one row, one count for many, and none if they are switched off."""

from typing import Any

import pytest

from tests.support.notifications import NotificationRecorder
from tests.support.rows import Rows


@pytest.fixture
def recorder(dsn: str) -> Any:
    recorder = NotificationRecorder(dsn, "new_job", "job_status_changed")
    yield recorder
    recorder.connection.close()


def test_one_new_job_is_notified_with_the_original_json(rows: Rows, recorder: NotificationRecorder) -> None:
    session_id = rows.add_session()
    job_id = rows.add_job(session_id=session_id, priority=3)

    ((channel, note),) = recorder.received()

    assert channel == "new_job"
    assert list(note) == ["job_id", "session_id", "priority", "created_at"]
    assert (note["job_id"], note["session_id"], note["priority"]) == (str(job_id), str(session_id), 3)


def test_many_new_jobs_are_notified_with_one_count(rows: Rows, recorder: NotificationRecorder) -> None:
    rows.all("INSERT INTO coding_jobs (prompt) SELECT 'x' FROM generate_series(1, 1000)")
    rows.all("INSERT INTO coding_jobs (prompt) SELECT 'x' FROM generate_series(1, 0)")

    assert recorder.received() == [("new_job", {"count": 1000})]


def test_one_changed_status_is_notified_with_the_original_json(rows: Rows, recorder: NotificationRecorder) -> None:
    job_id = rows.add_job()
    recorder.received()

    rows.all("UPDATE coding_jobs SET priority = 1")
    rows.all("UPDATE coding_jobs SET status = 'failed', updated_at = now()")

    ((channel, note),) = recorder.received()
    assert channel == "job_status_changed"
    assert list(note) == ["job_id", "session_id", "old_status", "new_status", "updated_at"]
    assert (note["job_id"], note["old_status"], note["new_status"]) == (str(job_id), "pending", "failed")


def test_many_changed_statuses_are_notified_with_one_count(rows: Rows, recorder: NotificationRecorder) -> None:
    rows.all("INSERT INTO coding_jobs (prompt) SELECT 'x' FROM generate_series(1, 10)")
    recorder.received()

    rows.all("UPDATE coding_jobs SET status = 'failed'")

    assert recorder.received() == [("job_status_changed", {"count": 10})]


def test_a_rolled_back_insert_is_not_notified(rows: Rows, recorder: NotificationRecorder) -> None:
    with rows.connection.transaction(force_rollback=True):
        rows.add_job()

    assert recorder.received() == []


def test_notifications_can_be_switched_off_for_a_transaction_and_for_good(
    rows: Rows, recorder: NotificationRecorder
) -> None:
    with rows.connection.transaction():
        rows.all("SET LOCAL mobvibe.notify = 'off'")
        rows.add_job()
    rows.all("ALTER TABLE coding_jobs DISABLE TRIGGER on_job_created")
    rows.add_job()

    assert recorder.received() == []

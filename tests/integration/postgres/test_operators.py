"""Cancel and retry: what operators may do to a job, and what is recorded.

Rows of docs/reference/security.md: S29.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import pytest

from bridge.job import Status
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

T = TypeVar("T")


def audit(rows: Rows) -> list[tuple[object, ...]]:
    found = rows.all("SELECT action, done_by, reason, status_before, status_after FROM job_audit ORDER BY id")
    return [tuple(row.values()) for row in found]


def test_a_pending_job_is_cancelled_at_once(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.add_worker()

    assert steps.queue.cancel_job(job_id, by="ann", reason="not needed") is Status.CANCELLED

    job = rows.job(job_id)
    assert (job["status"], job["error_message"]) == ("cancelled", "cancelled by ann: not needed")
    assert job["completed_at"] is not None
    assert steps.claim() == []
    assert audit(rows) == [("cancel", "ann", "not needed", "pending", "cancelled")]


def test_a_hand_over_is_cancelled_at_once_and_its_attempt_with_it(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.add_worker()
    steps.claim_one()

    assert steps.queue.cancel_job(job_id) is Status.CANCELLED

    assert rows.outcomes(job_id) == ["cancelled"]


def test_a_running_job_is_marked_and_cancelled_when_its_worker_releases_it(steps: Steps, rows: Rows) -> None:
    session_id = rows.add_session()
    job_id = rows.add_job(session_id=session_id)
    held = steps.started()

    assert steps.queue.cancel_job(job_id, by="ann") is Status.PROCESSING
    assert steps.release(held)

    assert rows.job(job_id)["status"] == "cancelled"
    assert rows.outcomes(job_id) == ["cancelled"]
    assert rows.session(session_id)["status"] == "failed"
    assert audit(rows) == [("cancel", "ann", None, "processing", "processing")]


def test_a_job_that_completes_before_its_worker_learns_of_the_cancel_is_completed(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()
    steps.queue.cancel_job(job_id)

    assert steps.complete(held)

    assert rows.job(job_id)["status"] == "completed"


def test_a_job_that_fails_before_its_worker_learns_of_the_cancel_is_not_retried(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()
    steps.queue.cancel_job(job_id)

    assert steps.fail(held) is Status.CANCELLED
    assert rows.outcomes(job_id) == ["cancelled"]


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_finished_job_is_not_cancelled(steps: Steps, rows: Rows, status: str) -> None:
    job_id = rows.add_job(status=status)

    assert steps.queue.cancel_job(job_id) == status
    assert audit(rows) == []


@pytest.mark.parametrize("status", ["failed", "cancelled", "completed"])
def test_a_finished_job_runs_again_with_all_its_retries(steps: Steps, rows: Rows, status: str) -> None:
    job_id = rows.add_job(status=status, retry_count=3, max_retries=3, error_message="boom", fence=3)
    steps.add_worker()

    assert steps.queue.retry_job(job_id, by="ann", reason="fixed") is Status.PENDING

    job = rows.job(job_id)
    assert (job["retry_count"], job["error_message"], job["completed_at"]) == (0, None, None)
    assert steps.claim_one().fence == 4
    assert audit(rows) == [("retry", "ann", "fixed", status, "pending")]


def test_a_waiting_job_can_be_run_now(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(run_at=datetime.now(UTC) + timedelta(hours=1), retry_count=1)
    steps.add_worker()

    steps.queue.retry_job(job_id)

    assert steps.claim_one().job_id == job_id
    assert rows.job(job_id)["retry_count"] == 1


def test_a_processing_job_is_not_retried(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.started()

    assert steps.queue.retry_job(job_id) is Status.PROCESSING
    assert audit(rows) == []


def test_the_status_of_a_job_that_does_not_exist_is_none(steps: Steps) -> None:
    assert steps.queue.cancel_job(uuid4()) is None
    assert steps.queue.retry_job(uuid4()) is None


def test_a_cancelled_job_retried_by_hand_is_not_cancelled_again(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.queue.cancel_job(job_id)
    steps.queue.retry_job(job_id)

    assert steps.fail(steps.started()) is Status.PENDING


@pytest.fixture
def second(dsn: str, rows: Rows) -> Iterator[Steps]:
    """A second client with a link of its own."""
    second = Steps(dsn, rows)
    yield second
    second.close()


def beside(rows: Rows, first: Steps, does: Callable[[], object], then: Callable[[], T]) -> T:
    """Run `then` while `first` has changed the same row and not committed: `then` must wait for it."""
    with ThreadPoolExecutor(1) as pool:
        with first.link.connection.transaction():
            does()
            answer = pool.submit(then)
            eventually(
                lambda: rows.value(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                ),
                what="the second to wait for the first",
            )
        return answer.result(5)


def test_a_cancel_during_a_completion_comes_too_late(steps: Steps, second: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()

    status = beside(rows, steps, lambda: steps.complete(held), lambda: second.queue.cancel_job(job_id))

    assert status is Status.COMPLETED
    assert rows.job(job_id)["status"] == "completed"
    assert rows.outcomes(job_id) == ["completed"]
    assert audit(rows) == []


def test_a_completion_during_a_cancel_completes_the_job(steps: Steps, second: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()

    accepted = beside(rows, second, lambda: second.queue.cancel_job(job_id), lambda: steps.complete(held))

    assert accepted
    assert rows.job(job_id)["status"] == "completed"
    assert rows.outcomes(job_id) == ["completed"]


def test_a_start_during_a_cancel_starts_nothing(steps: Steps, second: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    claim = steps.claim_one()

    held = beside(rows, second, lambda: second.queue.cancel_job(job_id), lambda: steps.start(worker, claim))

    assert held is None
    assert rows.outcomes(job_id) == ["cancelled"]


def test_a_cancel_during_a_start_marks_the_run(steps: Steps, second: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    claim = steps.claim_one()

    status = beside(rows, steps, lambda: steps.start(worker, claim), lambda: second.queue.cancel_job(job_id))

    assert status is Status.PROCESSING
    assert rows.job(job_id)["cancel_requested_at"] is not None


def test_a_cancel_during_a_release_cancels_the_pending_job(steps: Steps, second: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()

    status = beside(rows, steps, lambda: steps.release(held), lambda: second.queue.cancel_job(job_id))

    assert status is Status.CANCELLED
    assert rows.outcomes(job_id) == ["released"]
    assert rows.job(job_id)["status"] == "cancelled"

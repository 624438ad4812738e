"""Cancel and retry: what operators may do to a job, and the trail it leaves."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import pytest

from bridge.job import Status
from tests.support.hands import Hands
from tests.support.rows import Rows
from tests.support.waiting import eventually

T = TypeVar("T")


def audit(rows: Rows) -> list[tuple[object, ...]]:
    found = rows.all("SELECT action, done_by, reason, status_before, status_after FROM job_audit ORDER BY id")
    return [tuple(row.values()) for row in found]


def test_a_pending_job_is_cancelled_at_once(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    hands.add_worker()

    assert hands.queue.cancel_job(job_id, by="ann", reason="not needed") is Status.CANCELLED

    job = rows.job(job_id)
    assert (job["status"], job["error_message"]) == ("cancelled", "cancelled by ann: not needed")
    assert job["completed_at"] is not None
    assert hands.claim() == []
    assert audit(rows) == [("cancel", "ann", "not needed", "pending", "cancelled")]


def test_a_hand_over_is_cancelled_at_once_and_its_attempt_with_it(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    hands.add_worker()
    hands.claim_one()

    assert hands.queue.cancel_job(job_id) is Status.CANCELLED

    assert rows.outcomes(job_id) == ["cancelled"]


def test_a_running_job_is_marked_and_cancelled_when_its_worker_lets_go(hands: Hands, rows: Rows) -> None:
    session_id = rows.add_session()
    job_id = rows.add_job(session_id=session_id)
    held = hands.started()

    assert hands.queue.cancel_job(job_id, by="ann") is Status.PROCESSING
    assert hands.release(held)

    assert rows.job(job_id)["status"] == "cancelled"
    assert rows.outcomes(job_id) == ["cancelled"]
    assert rows.session(session_id)["status"] == "failed"
    assert audit(rows) == [("cancel", "ann", None, "processing", "processing")]


def test_a_job_that_completes_before_it_hears_of_the_cancel_is_completed(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    held = hands.started()
    hands.queue.cancel_job(job_id)

    assert hands.complete(held)

    assert rows.job(job_id)["status"] == "completed"


def test_a_job_that_fails_before_it_hears_of_the_cancel_is_not_retried(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    held = hands.started()
    hands.queue.cancel_job(job_id)

    assert hands.fail(held) is Status.CANCELLED
    assert rows.outcomes(job_id) == ["cancelled"]


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_finished_job_is_not_cancelled(hands: Hands, rows: Rows, status: str) -> None:
    job_id = rows.add_job(status=status)

    assert hands.queue.cancel_job(job_id) == status
    assert audit(rows) == []


@pytest.mark.parametrize("status", ["failed", "cancelled", "completed"])
def test_a_finished_job_runs_again_with_all_its_retries(hands: Hands, rows: Rows, status: str) -> None:
    job_id = rows.add_job(status=status, retry_count=3, max_retries=3, error_message="boom", fence=3)
    hands.add_worker()

    assert hands.queue.retry_job(job_id, by="ann", reason="fixed") is Status.PENDING

    job = rows.job(job_id)
    assert (job["retry_count"], job["error_message"], job["completed_at"]) == (0, None, None)
    assert hands.claim_one().fence == 4
    assert audit(rows) == [("retry", "ann", "fixed", status, "pending")]


def test_a_waiting_job_can_be_run_now(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job(run_at=datetime.now(UTC) + timedelta(hours=1), retry_count=1)
    hands.add_worker()

    hands.queue.retry_job(job_id)

    assert hands.claim_one().job_id == job_id
    assert rows.job(job_id)["retry_count"] == 1


def test_a_job_in_hands_is_not_retried(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    hands.started()

    assert hands.queue.retry_job(job_id) is Status.PROCESSING
    assert audit(rows) == []


def test_a_job_that_does_not_exist_is_none(hands: Hands) -> None:
    assert hands.queue.cancel_job(uuid4()) is None
    assert hands.queue.retry_job(uuid4()) is None


def test_a_cancelled_job_retried_by_hand_is_not_cancelled_again(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    hands.queue.cancel_job(job_id)
    hands.queue.retry_job(job_id)

    assert hands.fail(hands.started()) is Status.PENDING


@pytest.fixture
def second(dsn: str, rows: Rows) -> Iterator[Hands]:
    """Somebody else, on a link of their own."""
    second = Hands(dsn, rows)
    yield second
    second.close()


def beside(rows: Rows, first: Hands, does: Callable[[], object], then: Callable[[], T]) -> T:
    """`first` does something and has not committed when `then` comes to the same row, which must wait for it."""
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


def test_a_cancel_that_meets_a_completion_comes_too_late(hands: Hands, second: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    held = hands.started()

    said = beside(rows, hands, lambda: hands.complete(held), lambda: second.queue.cancel_job(job_id))

    assert said is Status.COMPLETED
    assert rows.job(job_id)["status"] == "completed"
    assert rows.outcomes(job_id) == ["completed"]
    assert audit(rows) == []


def test_a_completion_that_meets_a_cancel_completes(hands: Hands, second: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    held = hands.started()

    accepted = beside(rows, second, lambda: second.queue.cancel_job(job_id), lambda: hands.complete(held))

    assert accepted
    assert rows.job(job_id)["status"] == "completed"
    assert rows.outcomes(job_id) == ["completed"]


def test_a_start_that_meets_a_cancel_finds_nothing(hands: Hands, second: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    claim = hands.claim_one()

    held = beside(rows, second, lambda: second.queue.cancel_job(job_id), lambda: hands.start(worker, claim))

    assert held is None
    assert rows.outcomes(job_id) == ["cancelled"]


def test_a_cancel_that_meets_a_start_marks_the_run(hands: Hands, second: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    claim = hands.claim_one()

    said = beside(rows, hands, lambda: hands.start(worker, claim), lambda: second.queue.cancel_job(job_id))

    assert said is Status.PROCESSING
    assert rows.job(job_id)["cancel_requested_at"] is not None


def test_a_cancel_that_meets_a_release_cancels_the_pending_job(hands: Hands, second: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    held = hands.started()

    said = beside(rows, hands, lambda: hands.release(held), lambda: second.queue.cancel_job(job_id))

    assert said is Status.CANCELLED
    assert rows.outcomes(job_id) == ["released"]
    assert rows.job(job_id)["status"] == "cancelled"

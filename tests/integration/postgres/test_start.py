"""Each attempt is started once, while it is current, by a live worker."""

from uuid import uuid4

import pytest

from bridge.job import Status
from bridge.postgres.attempts import AttemptKey
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_a_start_returns_the_job(steps: Steps, rows: Rows) -> None:
    session_id = rows.add_session()
    job_id = rows.add_job(session_id=session_id, prompt="build it", payload={"n": 1}, priority=7)
    worker = steps.add_worker()
    claim = steps.claim_one()
    held = AttemptKey(claim.job_id, claim.fence, uuid4())

    (attempt,) = steps.book.start(worker, [held]).values()

    assert (attempt.job_id, attempt.session_id) == (job_id, session_id)
    assert (attempt.prompt, attempt.payload, attempt.priority, attempt.number) == ("build it", {"n": 1}, 7, 1)
    assert (attempt.queue, attempt.actor) == ("coding", "run_coding_session")
    row = rows.job(job_id)
    assert (row["exec"], row["worker"], row["lease_expires_at"]) == (held.exec, worker, None)
    assert row["started_at"] >= row["claimed_at"]


@pytest.mark.parametrize(
    ("retry_count", "max_retries", "is_last"), [(0, 3, False), (1, 3, False), (2, 3, True), (0, 1, True), (0, 0, True)]
)
def test_a_start_returns_whether_it_is_the_last_attempt(
    steps: Steps, rows: Rows, retry_count: int, max_retries: int, is_last: bool
) -> None:
    rows.add_job(retry_count=retry_count, max_retries=max_retries)
    worker = steps.add_worker()
    claim = steps.claim_one()
    held = AttemptKey(claim.job_id, claim.fence, uuid4())

    (attempt,) = steps.book.start(worker, [held]).values()

    assert attempt.is_last is is_last
    assert steps.fail(held) is (Status.FAILED if is_last else Status.PENDING)


def test_a_second_delivery_is_refused(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker, other = steps.add_worker(), steps.add_worker()
    claim = steps.claim_one()

    assert steps.start(worker, claim) is not None

    assert steps.start(worker, claim) is None
    assert steps.start(other, claim) is None


def test_two_deliveries_in_one_call_start_once(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker = steps.add_worker()
    claim = steps.claim_one()
    both = [AttemptKey(claim.job_id, claim.fence, uuid4()) for _ in range(2)]

    assert len(steps.book.start(worker, both)) == 1


def test_a_repeated_start_call_has_the_same_answer(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker = steps.add_worker()
    claim = steps.claim_one()
    held = AttemptKey(claim.job_id, claim.fence, uuid4())

    first, second = (steps.book.start(worker, [held]) for _ in range(2))

    assert first == second
    assert list(first) == [held.exec]


def test_a_message_of_an_earlier_claim_is_refused(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    stale = steps.claim_one()
    steps.queue.release_claims([stale], "test")
    steps.claim_one()

    assert steps.start(worker, stale) is None
    assert rows.job(job_id)["exec"] is None


def test_a_message_for_a_job_that_is_not_claimed_is_refused(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    forged = AttemptKey(job_id, 1, uuid4())

    assert steps.book.start(worker, [forged, AttemptKey(uuid4(), 1, uuid4())]) == {}


def test_a_worker_declared_lost_cannot_start_anything(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker = steps.add_worker()
    claim = steps.claim_one()
    steps.silence(worker)
    steps.reclaim()

    assert steps.start(worker, claim) is None


def test_a_cancelled_hand_over_is_not_started(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    claim = steps.claim_one()
    steps.queue.cancel_job(job_id)

    assert steps.start(worker, claim) is None

"""How reports end attempts, and that only the holder of an attempt can end it."""

import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from bridge.job import Completed, Status
from bridge.postgres.attempts import AttemptKey
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_a_completed_job_keeps_its_result(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()

    assert steps.complete(held, '{"rows": 7}')

    job = rows.job(job_id)
    assert (job["status"], job["result"], job["error_message"]) == ("completed", {"rows": 7}, None)
    assert job["completed_at"] >= job["started_at"]
    (attempt,) = rows.attempts(job_id)
    assert (attempt["fence"], attempt["exec"], attempt["outcome"], attempt["error"]) == (
        1,
        held.exec,
        "completed",
        None,
    )
    assert attempt["claimed_at"] <= attempt["started_at"] <= attempt["finished_at"]


@pytest.mark.parametrize(
    "result", [r'"a \"quoted\" \\ path, {braces} and NULL"', '"NULL"', "null", "[]", r'"é\u2028\n"']
)
def test_a_result_is_stored_as_it_is(steps: Steps, rows: Rows, result: str) -> None:
    job_id, attempts = rows.add_job(), [steps.started()]
    other = rows.add_job()
    attempts.append(steps.started())

    settled = steps.book.complete([(attempts[0], Completed(result)), (attempts[1], Completed(None))])

    assert set(settled) == {job_id, other}
    text = rows.value("SELECT result::text FROM coding_jobs WHERE id = %s", [job_id])
    assert json.loads(text) == json.loads(result)
    assert rows.value("SELECT result IS NULL FROM coding_jobs WHERE id = %s", [other])


def test_a_failed_attempt_waits_and_runs_again(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(max_retries=3)
    worker = steps.add_worker()

    assert steps.fail(steps.started(worker)) is Status.PENDING

    job = rows.job(job_id)
    assert (job["retry_count"], job["error_message"], job["completed_at"]) == (1, "boom", None)
    assert steps.claim() == []
    steps.make_due(job_id)
    assert steps.claim_one().fence == 2


@pytest.mark.parametrize(("failures", "least", "most"), [(0, 1, 2), (1, 2, 4), (2, 4, 8), (5, 32, 64)])
def test_the_wait_doubles_with_every_failure(steps: Steps, rows: Rows, failures: int, least: int, most: int) -> None:
    job_id = rows.add_job(max_retries=20, retry_count=failures)

    steps.fail(steps.started())

    waits = rows.value("SELECT extract(epoch FROM run_at - updated_at) FROM coding_jobs WHERE id = %s", [job_id])
    assert least <= waits <= most + 0.01


def test_the_wait_never_exceeds_an_hour(rows: Rows) -> None:
    assert rows.value("SELECT max(retry_delay(n)) <= interval '1 hour' FROM generate_series(0, 1000) n")


def test_an_actor_may_choose_the_wait(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()

    steps.fail(steps.started(), delay=timedelta(minutes=5))

    waits = rows.value("SELECT extract(epoch FROM run_at - updated_at) FROM coding_jobs WHERE id = %s", [job_id])
    assert 299 < waits < 301


def test_the_last_failure_is_a_dead_letter(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(max_retries=2, retry_count=1)

    assert steps.fail(steps.started(), "it broke") is Status.FAILED

    job = rows.job(job_id)
    assert (job["status"], job["retry_count"], job["error_message"]) == ("failed", 2, "it broke")
    assert job["completed_at"] is not None
    assert rows.outcomes(job_id) == ["failed"]


def test_a_final_failure_leaves_no_retries(steps: Steps, rows: Rows) -> None:
    rows.add_job(max_retries=10)

    assert steps.fail(steps.started(), final=True) is Status.FAILED


def test_a_released_job_spends_no_retry(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()

    assert steps.release(steps.started(worker))

    assert rows.job(job_id)["retry_count"] == 0
    assert steps.claim_one().fence == 2
    assert rows.outcomes(job_id) == ["released"]


def test_a_released_job_can_be_delayed(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()

    steps.release(steps.started(worker), delay=timedelta(seconds=60))

    assert steps.claim() == []
    steps.make_due(job_id)
    assert steps.claim_one().job_id == job_id


def test_every_report_needs_the_fence_and_the_exec(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()

    for wrong in (replace(held, exec=uuid4()), replace(held, fence=held.fence + 1), replace(held, job_id=uuid4())):
        assert not steps.complete(wrong)
        assert steps.fail(wrong) is None
        assert not steps.release(wrong)

    assert not steps.release(replace(held, exec=None))
    assert rows.job(job_id)["status"] == "processing"
    assert rows.attempts(job_id) == []


def test_a_hand_over_fails_only_until_a_worker_has_started_it(steps: Steps, rows: Rows) -> None:
    node_took, started, unstarted, other = (rows.add_job() for _ in range(4))
    steps.queue.claim_next_job()
    worker = steps.add_worker()
    first, second, third = steps.claim()
    assert steps.start(worker, first)

    assert steps.fail(AttemptKey(node_took, 1, None)) is None
    assert steps.fail(AttemptKey(started, first.fence, None)) is None
    assert steps.fail(AttemptKey(unstarted, second.fence + 1, None)) is None
    assert steps.fail(AttemptKey(unstarted, second.fence, None), "the start was refused") is Status.PENDING
    assert steps.fail(AttemptKey(unstarted, second.fence, None)) is None, "it is over"

    job = rows.job(unstarted)
    assert (job["retry_count"], job["error_message"], job["due"]) == (1, "the start was refused", False)
    (attempt,) = rows.attempts(unstarted)
    assert (attempt["outcome"], attempt["exec"], attempt["started_at"]) == ("failed", None, None)
    assert {rows.status(job_id) for job_id in (node_took, started, other)} == {"processing"}
    assert steps.start(worker, third)
    steps.make_due(unstarted)
    assert steps.claim_one().fence == second.fence + 1
    assert steps.fail(AttemptKey(unstarted, second.fence, None)) is None, "it is another attempt now"


def test_an_attempt_ends_once(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()
    assert steps.complete(held)

    assert not steps.complete(held)
    assert steps.fail(held) is None
    assert not steps.release(held)

    assert rows.job(job_id)["status"] == "completed"
    assert rows.outcomes(job_id) == ["completed"]


def test_a_repeated_report_is_recognised_by_its_own_exec_only(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    held = steps.started()
    steps.complete(held)

    assert steps.book.recorded([held]) == {job_id: Status.COMPLETED}
    assert steps.book.recorded([replace(held, exec=uuid4())]) == {}


def test_reports_of_many_jobs_are_settled_one_by_one(steps: Steps, rows: Rows) -> None:
    for _ in range(5):
        rows.add_job()
    worker = steps.add_worker()
    held = [steps.start(worker, claim) for claim in steps.claim()]
    mine = [attempt for attempt in held if attempt is not None]
    stale = replace(mine[2], exec=uuid4())

    settled = steps.book.complete([(attempt, Completed(None)) for attempt in (*mine[:2], stale, *mine[3:])])

    assert set(settled) == {attempt.job_id for attempt in mine} - {stale.job_id}
    assert rows.job(stale.job_id)["status"] == "processing"


def test_an_error_text_is_cut_and_cleaned(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()

    steps.fail(steps.started(), "\x1b[31mred\x00\x9b " + "x" * 10_000_000)

    message = rows.job(job_id)["error_message"]
    assert message.startswith("[31mred� xxx")
    assert message.endswith("… (cut)")
    assert len(message) < 8100


def test_a_row_set_back_by_hand_refuses_its_old_attempt(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    old = steps.started(worker)
    rows.all("UPDATE coding_jobs SET status = 'pending', started_at = NULL WHERE status = 'processing'")

    assert not steps.complete(old)
    new = steps.started(worker)
    assert not steps.complete(old)
    assert steps.complete(new)
    assert new.fence == 2
    assert rows.job(job_id)["status"] == "completed"

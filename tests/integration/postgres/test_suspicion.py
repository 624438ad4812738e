"""Who ended a worker, who was merely there, and what that means for their next attempts."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps


def crash(steps: Steps, jobs: list[UUID], ended_by: UUID | None = None) -> None:
    """These jobs, which may be claimed beside others, run in one worker when its process ends."""
    worker = steps.add_worker()
    claims = steps.claim()
    assert {claim.job_id for claim in claims} == set(jobs)
    for claim in claims:
        assert steps.start(worker, claim)
    steps.queue.declare_lost(worker, ended_by=ended_by)
    assert steps.reclaim().keys() == set(jobs)


def suspects(steps: Steps, limit: int = 1) -> list[UUID]:
    return [claim.job_id for claim in steps.queue.claim_suspects("bridge", lease=LEASE, limit=limit)]


def crashes(rows: Rows, *jobs: UUID) -> list[int]:
    return [rows.job(job_id)["crashes"] for job_id in jobs]


def test_who_was_there_when_a_worker_was_lost_runs_again_at_once_and_among_others(steps: Steps, rows: Rows) -> None:
    jobs = [rows.add_job() for _ in range(3)]
    crash(steps, jobs)
    other = rows.add_job()
    steps.add_worker()

    assert suspects(steps, 3) == []
    assert [claim.job_id for claim in steps.claim()] == [*jobs, other], "as old as they are"

    assert crashes(rows, *jobs) == [1, 1, 1]
    waiting = steps.queue.waiting_claims(age=timedelta(0), limit=10)
    assert [claim.isolated for claim in waiting] == [False] * 4


def test_who_ended_its_worker_is_isolated_and_who_was_beside_it_is_not(steps: Steps, rows: Rows) -> None:
    killer, *innocent = [rows.add_job() for _ in range(3)]
    crash(steps, [killer, *innocent], ended_by=killer)
    steps.add_worker()

    assert suspects(steps, 3) == [killer]
    assert [claim.job_id for claim in steps.claim()] == innocent


def test_a_job_that_was_alone_in_its_worker_is_isolated(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(max_retries=9)
    other = rows.add_job(max_retries=9)
    alone, calm = steps.add_worker(), steps.add_worker()
    for worker, claim in zip((alone, calm), steps.claim(), strict=True):
        assert steps.start(worker, claim)
    steps.queue.declare_lost(alone, ended_by=None)

    assert steps.reclaim().keys() == {job_id}

    assert crashes(rows, job_id, other) == [2, 0]
    assert suspects(steps) == [job_id]


def test_jobs_that_had_ended_in_its_worker_do_not_count_as_company(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    job_id = rows.add_job(max_retries=9)
    worker = steps.add_worker()
    ended, running = [steps.start(worker, claim) for claim in steps.claim()]
    assert ended and running
    assert steps.complete(ended)
    steps.queue.declare_lost(worker, ended_by=None)

    assert steps.reclaim().keys() == {job_id}
    assert crashes(rows, job_id) == [2]


def test_a_second_crash_that_points_at_nobody_isolates(steps: Steps, rows: Rows) -> None:
    jobs = [rows.add_job(max_retries=9) for _ in range(2)]
    crash(steps, jobs)
    crash(steps, jobs)
    steps.add_worker()
    late = "SELECT bool_and(run_at BETWEEN now() + interval '0.4 s' AND now() + interval '2 s') FROM coding_jobs"
    assert rows.value(late)

    for job_id in jobs:
        steps.make_due(job_id)

    assert crashes(rows, *jobs) == [2, 2]
    assert steps.claim() == []
    assert suspects(steps, 2) == jobs


def test_whoever_else_ends_its_workers_makes_nobody_a_suspect(steps: Steps, rows: Rows) -> None:
    (innocent,) = [rows.add_job(max_retries=9)]
    for _ in range(4):
        crash(steps, [innocent], ended_by=uuid4())

    assert crashes(rows, innocent) == [1]
    assert rows.value("SELECT run_at <= now() FROM coding_jobs"), "nor does it wait"


def test_what_one_was_suspected_of_before_stays_when_another_is_to_blame(steps: Steps, rows: Rows) -> None:
    (job_id,) = [rows.add_job(max_retries=9)]
    rows.all("UPDATE coding_jobs SET crashes = 3")
    worker = steps.add_worker()
    assert suspects(steps) == [job_id]
    (claim,) = steps.queue.waiting_claims(age=timedelta(0), limit=1)
    assert steps.start(worker, claim)
    steps.queue.declare_lost(worker, ended_by=uuid4())
    steps.reclaim()

    assert crashes(rows, job_id) == [3]


@pytest.mark.parametrize("is_known", [True, False])
def test_no_job_spends_its_last_attempt_beside_others(steps: Steps, rows: Rows, is_known: bool) -> None:
    job_id, other = rows.add_job(max_retries=2), rows.add_job(max_retries=2)
    crash(steps, [job_id, other], ended_by=uuid4() if is_known else None)
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [other])
    steps.add_worker()

    assert crashes(rows, job_id) == [1]
    assert steps.claim() == []
    assert suspects(steps) == [job_id]
    (claim,) = steps.queue.waiting_claims(age=timedelta(0), limit=1)
    assert claim.isolated_until_end


def test_a_worker_may_be_deleted_before_its_jobs_are_reclaimed(steps: Steps, rows: Rows) -> None:
    jobs = [rows.add_job() for _ in range(2)]
    worker = steps.add_worker()
    for claim in steps.claim():
        assert steps.start(worker, claim)
    steps.queue.declare_lost(worker, ended_by=jobs[0])
    rows.all("DELETE FROM workers")

    steps.reclaim()

    assert crashes(rows, *jobs) == [1, 1]


def test_who_was_declared_lost_by_its_link_can_still_be_told_the_reason(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    rows.all("UPDATE workers SET stopped_at = now() - interval '1 s', stop_reason = 'lost'")

    steps.queue.declare_lost(worker, ended_by=job_id)

    assert rows.value("SELECT stopped_at < now() - interval '0.5 s' AND stop_reason = 'lost' FROM workers")
    steps.reclaim()
    assert crashes(rows, job_id) == [2]


def test_a_worker_that_was_declared_lost_starts_nothing_more_and_the_others_do(steps: Steps, rows: Rows) -> None:
    lost, other = steps.add_worker(), steps.add_worker()
    jobs = [rows.add_job() for _ in range(2)]
    first, second = steps.claim()

    steps.queue.declare_lost(lost, ended_by=None)

    assert steps.start(lost, first) is None
    assert steps.start(other, second)
    assert steps.heartbeat(lost) is None
    assert steps.heartbeat(other) == {}
    assert rows.all("SELECT stop_reason FROM workers ORDER BY stop_reason NULLS LAST") == [
        {"stop_reason": "lost"}, {"stop_reason": None},
    ]  # fmt: skip
    assert {first.job_id, second.job_id} == set(jobs)

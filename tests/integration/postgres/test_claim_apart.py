"""The tests of claims once more, with the function that claims while some jobs are refused."""

from typing import Any

import pytest

from bridge.job import Claim
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.queue_rows import Span
from tests.integration.dispatch.test_refusals import trigger
from tests.integration.postgres.test_claim import (  # noqa: F401
    test_a_busy_queue_takes_nothing_from_another_one,
    test_a_claim_takes_the_job_and_raises_its_fence,
    test_a_job_is_left_alone_until_its_time,
    test_a_job_whose_actor_no_live_worker_knows_waits,
    test_a_pending_job_can_be_delayed_by_hand,
    test_concurrent_claims_never_share_a_job,
    test_higher_priority_goes_first_then_the_older_job,
    test_no_job_is_handed_over_to_a_draining_worker,
    test_no_more_is_claimed_than_live_workers_have_slots_for,
    test_spans_of_a_queue_share_its_capacity_and_keep_the_order,
)
from tests.integration.postgres.test_conditions import (  # noqa: F401
    test_a_draining_worker_is_given_no_job,
    test_a_job_waits_in_a_queue_to_which_no_worker_listens,
    test_no_job_is_claimed_from_a_queue_without_capacity,
    test_run_at_is_respected_even_when_triggers_are_off,
)
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def claim_jobs(queue: JobQueue, bridge: str, **how: Any) -> list[Claim]:
        claims, refused = queue.claim_jobs_apart(bridge, skip=[], **how)
        assert refused == []
        return claims

    monkeypatch.setattr(JobQueue, "claim_jobs", claim_jobs)


def test_a_suspect_is_not_claimed_with_ordinary_jobs(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    rows.add_job(crashes=2)
    assert steps.claim() == []


@pytest.mark.parametrize("scheduled", [False, True])
def test_jobs_to_skip_are_not_tried(steps: Steps, rows: Rows, scheduled: bool) -> None:
    steps.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    if scheduled:
        rows.all("UPDATE coding_jobs SET run_at = clock_timestamp() + interval '1 ms'")
        rows.all("SELECT pg_sleep(0.01)")
    rows.all("CREATE SEQUENCE tries")  # a sequence: what is rolled back counts
    rows.all(trigger("PERFORM nextval('public.tries'); RAISE 'not now'")[0])
    spans = [Span("coding", 10)]

    claims, refusals = steps.queue.claim_jobs_apart("bridge", limit=10, lease=LEASE, spans=spans, skip=[refused])

    assert ([claim.job_id for claim in claims], refusals) == ([other], [])
    assert not rows.value("SELECT is_called FROM tries")


def test_only_jobs_that_became_due_are_promoted(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    over, ready = rows.add_job(status="cancelled"), rows.add_job(queue="elsewhere")
    rows.all("ALTER TABLE coding_jobs DISABLE TRIGGER on_job_run_at")
    rows.all("UPDATE coding_jobs SET run_at = now() - interval '1 s'")
    rows.all("UPDATE coding_jobs SET due = false WHERE id = %s", [over])
    version = "SELECT xmin::text FROM coding_jobs WHERE id = %s"
    before = rows.value(version, [ready])

    assert steps.claim() == []
    assert not rows.job(over)["due"]
    assert rows.value(version, [ready]) == before

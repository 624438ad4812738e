"""The claims of other tests, made as they are while some jobs are refused: they give the same."""

from typing import Any

import pytest

from bridge.frontier import Span
from bridge.job import Claim
from bridge.job_queue import JobQueue
from tests.integration.test_claim import (  # noqa: F401
    test_a_busy_queue_takes_nothing_from_another_one,
    test_a_claim_takes_the_job_and_raises_its_fence,
    test_a_draining_worker_is_given_nothing_more,
    test_a_job_is_left_alone_until_its_time,
    test_a_job_whose_actor_no_live_worker_knows_waits,
    test_a_pending_job_can_be_put_off_by_hand,
    test_concurrent_claims_never_share_a_job,
    test_higher_priority_goes_first_then_the_older_job,
    test_no_more_is_claimed_than_live_workers_have_slots_for,
    test_spans_of_a_queue_share_its_room_and_keep_the_order,
)
from tests.integration.test_guards import (  # noqa: F401
    test_a_job_in_a_queue_nobody_listens_to_waits,
    test_a_queue_without_room_gives_nothing,
    test_a_worker_that_takes_nothing_is_given_nothing,
    test_the_time_of_a_job_counts_even_where_triggers_are_off,
)
from tests.integration.test_refusals import trigger
from tests.support.hands import LEASE, Hands
from tests.support.rows import Rows


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def claim_jobs(queue: JobQueue, bridge: str, **how: Any) -> list[Claim]:
        claims, refused = queue.claim_jobs_apart(bridge, skip=[], **how)
        assert refused == []
        return claims

    monkeypatch.setattr(JobQueue, "claim_jobs", claim_jobs)


def test_a_suspect_is_left_to_run_alone(hands: Hands, rows: Rows) -> None:
    hands.add_worker()
    rows.add_job(crashes=1)
    assert hands.claim() == []


@pytest.mark.parametrize("scheduled", [False, True])
def test_what_is_to_be_skipped_is_not_tried(hands: Hands, rows: Rows, scheduled: bool) -> None:
    hands.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    if scheduled:
        rows.all("UPDATE coding_jobs SET run_at = clock_timestamp() + interval '1 ms'")
        rows.all("SELECT pg_sleep(0.01)")
    rows.all("CREATE SEQUENCE tries")  # a sequence: what is rolled back counts
    rows.all(trigger("PERFORM nextval('public.tries'); RAISE 'not now'")[0])
    spans = [Span("coding", 10)]

    claims, refusals = hands.queue.claim_jobs_apart("bridge", limit=10, lease=LEASE, spans=spans, skip=[refused])

    assert ([claim.job_id for claim in claims], refusals) == ([other], [])
    assert not rows.value("SELECT is_called FROM tries")


def test_only_what_became_due_is_promoted(hands: Hands, rows: Rows) -> None:
    hands.add_worker()
    over, ready = rows.add_job(status="cancelled"), rows.add_job(queue="elsewhere")
    rows.all("ALTER TABLE coding_jobs DISABLE TRIGGER on_job_run_at")
    rows.all("UPDATE coding_jobs SET run_at = now() - interval '1 s'")
    rows.all("UPDATE coding_jobs SET due = false WHERE id = %s", [over])
    version = "SELECT xmin::text FROM coding_jobs WHERE id = %s"
    before = rows.value(version, [ready])

    assert hands.claim() == []
    assert not rows.job(over)["due"]
    assert rows.value(version, [ready]) == before

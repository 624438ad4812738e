"""Rows that Postgres refuses to change, in `claim_jobs_apart`: which reasons it returns, and what they cost."""

import time
from collections.abc import Sequence
from uuid import UUID

from bridge.job import Claim
from bridge.postgres.queue_rows import Refusal, Span
from tests.integration.dispatch.test_refusals import CHECKED, trigger
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps

SUPPRESSED = "the update of its row was suppressed: see the triggers and rules of coding_jobs"


def apart(steps: Steps, limit: int = 100, skip: Sequence[UUID] = ()) -> tuple[list[Claim], list[Refusal]]:
    spans = [Span("coding", limit)]
    return steps.queue.claim_jobs_apart("bridge", limit=limit, lease=LEASE, spans=spans, skip=list(skip))


def test_the_reason_for_a_suppressed_change_says_where_to_look(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    refused = rows.add_job(priority=9)
    rows.all(trigger("RETURN NULL")[0])

    assert apart(steps) == ([], [Refusal(refused, "run_coding_session", SUPPRESSED)])


def test_a_job_that_is_refused_when_it_becomes_due_is_named_once(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    rows.all("UPDATE coding_jobs SET run_at = clock_timestamp() + interval '1 ms' WHERE id = %s", [refused])
    rows.all(trigger("RAISE 'not now'")[0])
    rows.all("SELECT pg_sleep(0.01)")

    claims, refusals = apart(steps)

    assert [claim.job_id for claim in claims] == [other]
    assert refusals == [Refusal(refused, "run_coding_session", "not now")]


def test_a_batch_that_fails_at_the_commit_is_tried_one_by_one(steps: Steps, rows: Rows) -> None:
    steps.add_worker(slots=100)
    others = [rows.add_job() for _ in range(50)]
    refused = rows.add_job(priority=-9)
    rows.all("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_sleep(0.045);
            IF NEW.priority < 0 THEN RAISE 'not now'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER slow BEFORE UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION slow()""")

    claims, refusals = apart(steps)

    assert [claim.job_id for claim in claims] == others[: len(claims)]
    assert len(claims) > 20
    assert [one.job_id for one in refusals] in ([], [refused])


def test_events_of_a_hosts_trigger_are_numbered(steps: Steps, rows: Rows) -> None:
    """Their numbers are deferred to the commit as well."""
    session = rows.add_session()
    rows.all("""
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.session_events (session_id, event_type) VALUES (NEW.session_id, NEW.status);
            RETURN NULL;
        END $$;
        CREATE TRIGGER tell AFTER UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION tell()""")
    steps.add_worker()
    refused = rows.add_job(session_id=session, priority=9)
    jobs = [rows.add_job(session_id=session) for _ in range(3)]
    rows.all(CHECKED)

    claims, _ = apart(steps)
    assert {claim.job_id for claim in claims} == set(jobs)
    for job_id in jobs:
        steps.expire(job_id)
    rows.all("UPDATE coding_jobs SET priority = 3 WHERE id = %s", [refused])
    assert len(steps.reclaim()) == 3

    numbers = [row["seq"] for row in rows.all("SELECT seq FROM session_events ORDER BY seq")]
    assert numbers == list(range(1, len(numbers) + 1))


def test_ten_thousand_refused_jobs_cost_a_claim_little(steps: Steps, rows: Rows) -> None:
    steps.add_worker(slots=10)
    rows.all("INSERT INTO coding_jobs (priority) SELECT 9 FROM generate_series(1, 10000)")
    refused = [row["id"] for row in rows.all("SELECT id FROM coding_jobs")]
    other = rows.add_job()
    rows.all("ANALYZE coding_jobs")
    rows.all(CHECKED)

    began = time.monotonic()
    claims, _ = apart(steps, 10, refused)

    assert [claim.job_id for claim in claims] == [other]
    assert time.monotonic() - began < 1

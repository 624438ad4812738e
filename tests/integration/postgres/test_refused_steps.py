"""Rows that Postgres refuses to change, in each step that changes many: the other rows are changed in the same step."""

import time
from collections.abc import Callable

import pytest

from bridge.dispatch.refusals import Claims
from bridge.errors import SchemaError
from bridge.postgres.queue_rows import Span
from tests.integration.dispatch.test_refusals import CAUSES, named_jobs, trigger
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps
from tests.support.waiting import eventually

TRIED = "SELECT last_value FROM tries"  # a sequence, because a rollback does not undo it


def count_tries(rows: Rows) -> None:
    rows.all("CREATE SEQUENCE tries")
    rows.all(trigger("PERFORM nextval('public.tries'); RAISE 'not now'")[0])


@pytest.mark.parametrize(("cause", "end"), CAUSES)
def test_jobs_after_a_refused_one_are_claimed(steps: Steps, rows: Rows, cause: str, end: str) -> None:
    steps.add_worker(slots=1)
    refused, other = rows.add_job(priority=9), rows.add_job()
    rows.all(cause)
    claims = Claims(steps.queue, name="bridge", lease=LEASE, limit=1)

    assert claims.take([Span("coding", 1)]) == []
    assert claims.found_refused
    assert [claim.job_id for claim in claims.take([Span("coding", 1)])] == [other]
    assert (rows.job(refused)["status"], rows.job(refused)["fence"]) == ("pending", 0)


@pytest.mark.parametrize(("cause", "end"), CAUSES)
@pytest.mark.parametrize("started", [True, False])
def test_jobs_beside_a_refused_one_are_taken_back(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str, started: bool
) -> None:
    worker = steps.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    for claim in steps.claim():
        if started:
            steps.start(worker, claim)
        else:
            steps.expire(claim.job_id)
    steps.book.stop(worker)
    rows.all(cause)

    outcome = "crashed" if started else "released"
    assert steps.reclaim() == {other: (outcome, "pending")}
    assert named_jobs(caplog) == [str(refused)]
    assert rows.outcomes(refused) == []

    rows.all(end)
    eventually(lambda: steps.reclaim() == {refused: (outcome, "pending")}, seconds=3)
    assert named_jobs(caplog) == [str(refused)]


@pytest.mark.parametrize(("cause", "end"), CAUSES)
def test_jobs_beside_a_refused_one_are_moved(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str
) -> None:
    refused, other = rows.add_job(actor="build_report", priority=9), rows.add_job(actor="build_report")
    steps.add_worker(actors={name: {"queue": f"{name}s", "max_retries": 1} for name in ("a", "build_report", "z")})
    rows.all(cause)

    assert [group.jobs for group in steps.queue.route_jobs(limit=10)] == [1]
    assert (rows.job(refused)["queue"], rows.job(other)["queue"]) == ("coding", "build_reports")
    assert named_jobs(caplog) == [str(refused)]


@pytest.mark.parametrize(("cause", "end"), CAUSES)
def test_a_suspect_after_a_refused_one_is_claimed(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str
) -> None:
    steps.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    rows.all("UPDATE coding_jobs SET crashes = 2")
    rows.all(cause)

    assert [claim.job_id for claim in steps.queue.claim_suspects("bridge", lease=LEASE)] == [other]
    assert named_jobs(caplog) == [str(refused)]


def test_an_error_of_the_database_is_not_a_refused_row(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    lost = steps.add_worker()
    rows.add_job()
    steps.started(lost)
    steps.book.stop(lost)
    steps.add_worker()
    rows.add_job()
    rows.add_job(crashes=2)
    rows.all("ALTER TABLE job_counts RENAME TO gone")
    claims = Claims(steps.queue, name="bridge", lease=LEASE, limit=10)
    calls: list[Callable[[], object]] = [
        lambda: claims.take([Span("coding", 10)]),
        lambda: steps.queue.claim_suspects("bridge", lease=LEASE),
        steps.queue.claim_next_job,
        steps.reclaim,
    ]

    for call in calls:
        with pytest.raises(SchemaError, match="job_counts"):
            call()

    assert not claims.some_refused
    assert named_jobs(caplog) == []


def test_started_and_unstarted_attempts_are_taken_back_together(steps: Steps, rows: Rows) -> None:
    """Each is taken back by its own fence."""
    rows.add_job()
    started = steps.started(steps.add_worker())
    rows.add_job(fence=6)
    waiting = steps.claim_one()

    ended = rows.all(
        "SELECT job_id, outcome FROM take_back(%s, %s, '{crashed,released}', '{lost,NULL}', '{0,NULL}')",
        [[started.job_id, waiting.job_id], [started.fence, waiting.fence]],
    )

    assert [tuple(one.values()) for one in ended] == [(started.job_id, "crashed"), (waiting.job_id, "released")]


@pytest.mark.parametrize("step", ["reclaim", "route", "suspects"])
def test_a_refused_job_is_retried_at_growing_intervals(steps: Steps, rows: Rows, step: str) -> None:
    worker = steps.add_worker(actors={"run_coding_session": {"queue": "reports", "max_retries": 1}}, queues=["reports"])
    rows.add_job(priority=9, queue="reports" if step != "route" else "nowhere", crashes=2 * int(step == "suspects"))
    if step == "reclaim":
        steps.started(worker)
        steps.book.stop(worker)
    count_tries(rows)
    calls: dict[str, Callable[[], object]] = {
        "reclaim": steps.reclaim,
        "route": lambda: steps.queue.route_jobs(limit=10),
        "suspects": lambda: steps.queue.claim_suspects("bridge", lease=LEASE),
    }
    until = time.monotonic() + 4

    while time.monotonic() < until:
        calls[step]()
        time.sleep(0.02)

    assert 3 <= rows.value(TRIED) <= 8  # each try fires it twice: with all jobs, and with each by itself

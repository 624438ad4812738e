"""A job that was inserted before a worker announced its actor gets the actor's attempts with its first claim."""

from collections.abc import Callable
from typing import Any, cast

import psycopg
import pytest

from bridge import enqueue
from bridge.job import Claim
from bridge.postgres.queue_rows import Span
from tests.support.announcing import announce
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps

Claiming = Callable[[Steps], list[Claim]]


def claim_apart(steps: Steps) -> list[Claim]:
    """Claim as a bridge does while it knows of refused jobs."""
    spans = [Span(queue, 10) for queue in ("coding", "reports")]
    return steps.queue.claim_jobs_apart("bridge", limit=10, lease=LEASE, spans=spans, skip=[])[0]


@pytest.fixture(params=[Steps.claim, claim_apart])
def claim(request: pytest.FixtureRequest, steps: Steps) -> Claiming:
    """How a bridge claims, while another actor is announced, too."""
    steps.add_worker(actors={"send_mail": {"queue": "mail", "max_retries": 2}})
    return cast(Claiming, request.param)


@pytest.mark.parametrize("queue", ["coding", "reports"])
def test_the_first_claim_sets_the_actors_attempts(steps: Steps, rows: Rows, claim: Claiming, queue: str) -> None:
    jobs = [rows.add_job(actor="build_report") for _ in range(2)]
    announce(steps, queue, 5)
    steps.queue.route_jobs(limit=10)

    assert len(claim(steps)) == 2

    assert [rows.job(job)["max_retries"] for job in jobs] == [5, 5]


def test_the_last_of_the_actors_attempts_is_the_last(steps: Steps, rows: Rows) -> None:
    job = rows.add_job(actor="build_report")
    worker = announce(steps, "coding", 1)

    steps.fail(steps.started(worker))

    assert rows.status(job) == "failed"


@pytest.mark.parametrize("column", [{"max_retries": 7}, {"queue": "reports"}, {"queue": "reports", "max_retries": 3}])
def test_attempts_of_a_row_that_names_them_or_its_queue_are_kept(
    steps: Steps, rows: Rows, claim: Claiming, column: dict[str, Any]
) -> None:
    job = rows.add_job(actor="build_report", **column)
    announce(steps)
    steps.queue.route_jobs(limit=10)

    assert len(claim(steps)) == 1

    assert rows.job(job)["max_retries"] == column.get("max_retries", 3)


def test_three_attempts_that_enqueue_names_are_kept(steps: Steps, rows: Rows, claim: Claiming, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        job = enqueue(connection, "build_report", max_retries=3)
    announce(steps, "coding")

    assert len(claim(steps)) == 1

    assert rows.job(job)["max_retries"] == 3


def test_attempts_that_are_changed_while_the_job_waits_are_kept(steps: Steps, rows: Rows, claim: Claiming) -> None:
    job = rows.add_job(actor="build_report")
    rows.all("UPDATE coding_jobs SET max_retries = 9")
    announce(steps, "coding")

    assert len(claim(steps)) == 1

    assert rows.job(job)["max_retries"] == 9


def test_later_claims_keep_what_the_first_one_set(steps: Steps, rows: Rows, claim: Claiming) -> None:
    job = rows.add_job(actor="build_report")
    worker = announce(steps, "coding", None)
    (first,) = claim(steps)
    held = steps.start(worker, first)
    assert held is not None
    steps.release(held)
    announce(steps, "coding", 5)

    assert len(claim(steps)) == 1

    assert rows.job(job)["max_retries"] == 3, "as many as the actor had announced then: the default"


def test_a_job_of_an_actor_that_announced_no_number_keeps_the_default(
    steps: Steps, rows: Rows, claim: Claiming
) -> None:
    announce(steps, "coding", None)
    job = rows.add_job(actor="build_report")
    announce(steps, "coding", 5)

    assert len(claim(steps)) == 1

    assert rows.job(job)["max_retries"] == 3

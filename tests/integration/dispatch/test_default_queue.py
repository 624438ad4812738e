"""A job in the default queue whose actor uses another queue is moved there, even if another worker could run it."""

from uuid import UUID

import pytest

from bridge.job import Claim
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

REPORTS = {"build_report": {"queue": "reports", "max_retries": 5}}


def claim_when_due(steps: Steps, rows: Rows, job: UUID) -> Claim | None:
    """Delay the job, as one that was handed back, and call for claims until it is due."""
    rows.all("UPDATE coding_jobs SET run_at = clock_timestamp() + '50 ms' WHERE id = %s", [job])
    assert not rows.job(job)["due"]
    claims: list[Claim] = []

    def is_due() -> bool:
        claims.extend(steps.claim())
        return bool(rows.job(job)["due"])

    eventually(is_due)
    claims.extend(steps.claim())  # it may have become due after the room of its queue was counted
    return next((claim for claim in claims if claim.job_id == job), None)


@pytest.fixture
def early(rows: Rows) -> UUID:
    """A job that was inserted before a worker announced its actor."""
    return rows.add_job(actor="build_report")


@pytest.fixture(autouse=True)
def _others(steps: Steps) -> None:
    """Workers on the default queue that do not know the actor."""
    steps.add_worker()


def test_a_job_is_moved_though_a_worker_that_listens_to_both_queues_could_run_it(
    steps: Steps, rows: Rows, early: UUID
) -> None:
    steps.add_worker(actors=REPORTS, queues=["coding", "reports"])

    (group,) = steps.queue.route_jobs(limit=10)

    assert (group.queue, group.jobs, group.routed_to) == ("coding", 1, "reports")
    assert rows.job(early)["queue"] == "reports"
    assert steps.queue.route_jobs(limit=10) == []


def test_a_job_that_was_handed_back_is_claimed_in_its_actors_queue(steps: Steps, rows: Rows, early: UUID) -> None:
    steps.add_worker(actors=REPORTS, queues=["coding", "reports"])

    claim = claim_when_due(steps, rows, early)

    assert claim is not None
    assert claim.queue == "reports"
    assert rows.value("SELECT processing FROM queue_counts() WHERE queue = 'reports'") == 1


@pytest.mark.parametrize("away", ["stopped", "silent", "elsewhere"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_job_stays_when_no_worker_serves_its_actors_queue(
    steps: Steps, rows: Rows, early: UUID, away: str, waits: bool
) -> None:
    worker = steps.add_worker(actors=REPORTS, queues=["coding", "other" if away == "elsewhere" else "reports"])
    if away == "stopped":
        steps.book.stop(worker)
    elif away == "silent":
        steps.silence(worker)
    if waits:
        claim_when_due(steps, rows, early)

    steps.queue.route_jobs(limit=10)

    assert rows.job(early)["queue"] == "coding"


def test_jobs_whose_actor_uses_the_default_queue_stay(steps: Steps, rows: Rows) -> None:
    steps.add_worker(actors=REPORTS, queues=["coding", "reports"])
    job = rows.add_job()

    assert steps.queue.route_jobs(limit=10) == []
    claim = claim_when_due(steps, rows, job)
    assert claim is not None
    assert claim.queue == "coding"


def test_a_job_in_another_named_queue_is_not_moved(steps: Steps, rows: Rows) -> None:
    urgent = rows.add_job(actor="build_report", queue="urgent")
    steps.add_worker(actors=REPORTS, queues=["urgent", "reports"])

    assert steps.queue.route_jobs(limit=10) == []
    claim = claim_when_due(steps, rows, urgent)
    assert claim is not None
    assert claim.queue == "urgent"


def test_a_worker_that_gets_a_job_of_an_unknown_actor_names_queue_and_actor(
    fleet: Fleet, steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    steps.add_worker(actors={"build_report": {"queue": "tests"}})
    job = rows.add_job(actor="build_report", queue="tests")

    eventually(lambda: "does not know its actor" in caplog.text, seconds=10)

    record = next(record for record in caplog.records if "does not know its actor" in record.message)
    assert (vars(record)["queue"], vars(record)["actor"]) == ("tests", "build_report")
    assert "workers with different actors listen to this queue" in record.message
    eventually(lambda: rows.outcomes(job) == ["released"])

"""Jobs handed back with no retry spent: without a delay at first, then with a growing one, so that none loops."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.rows import Rows
from tests.support.steps import Steps

ENDS_A_ROW: dict[str, Callable[[Steps, Rows, UUID], object]] = {
    "an attempt that failed": lambda steps, _, job: _run_and_end(steps, job, steps.fail),
    "a retry by hand": lambda steps, rows, job: rows.all("SELECT retry_job(%s)", [job]),
}


def _run_and_end(steps: Steps, job: UUID, end: Callable[..., object]) -> None:
    steps.make_due(job)
    assert end(steps.started())


def _release(steps: Steps, job: UUID) -> float | None:
    """Claim, start and release the job. Returns the seconds that it waits then, or None if it does not wait."""
    _run_and_end(steps, job, steps.release)
    return _wait(steps.rows, job)


def _wait(rows: Rows, job: UUID) -> float | None:
    row = rows.one(
        "SELECT due, extract(epoch FROM run_at - updated_at)::float AS wait FROM coding_jobs WHERE id = %s", [job]
    )
    assert row["due"] == (row["wait"] is None)
    wait: float | None = row["wait"]
    return wait


def test_from_the_fourth_release_in_a_row_the_wait_doubles_each_time(steps: Steps, rows: Rows) -> None:
    job = rows.add_job(max_retries=2)

    waits = [_release(steps, job) for _ in range(6)]

    assert waits == [None, None, None, 1.0, 2.0, 4.0]
    row = rows.job(job)
    assert (row["status"], row["retry_count"], row["releases"]) == ("pending", 0, 6)
    assert rows.outcomes(job) == ["released"] * 6


@pytest.mark.parametrize(("releases", "seconds"), [(3, 0), (4, 1), (5, 2), (12, 256), (13, 300), (999_999_999, 300)])
def test_the_wait_grows_to_five_minutes(rows: Rows, releases: int, seconds: int) -> None:
    assert rows.value("SELECT extract(epoch FROM release_delay(%s))::integer", [releases]) == seconds


@pytest.mark.parametrize("how", ENDS_A_ROW)
def test_another_outcome_resets_the_count(steps: Steps, rows: Rows, how: str) -> None:
    job = rows.add_job(max_retries=5)
    for _ in range(4):
        _release(steps, job)

    ENDS_A_ROW[how](steps, rows, job)

    assert [_release(steps, job) for _ in range(4)] == [None, None, None, 1.0]


def test_an_attempt_that_ran_for_five_minutes_resets_the_count(steps: Steps, rows: Rows) -> None:
    job = rows.add_job()
    for _ in range(4):
        _release(steps, job)

    for minutes, releases in (("4:59", 5), ("5:01", 1)):
        steps.make_due(job)
        held = steps.started()
        rows.all(
            "UPDATE coding_jobs SET started_at = clock_timestamp() - %s::interval WHERE id = %s", [f"0:{minutes}", job]
        )
        assert steps.release(held)
        assert rows.job(job)["releases"] == releases


def test_a_requested_delay_is_kept_when_it_is_longer(steps: Steps, rows: Rows) -> None:
    job = rows.add_job()
    _run_and_end(steps, job, lambda held: steps.release(held, timedelta(seconds=7)))
    assert _wait(rows, job) == 7.0
    for _ in range(4):
        _release(steps, job)

    _run_and_end(steps, job, lambda held: steps.release(held, timedelta(seconds=1)))

    assert _wait(rows, job) == 4.0


def test_a_hand_over_that_nobody_starts_counts_as_handed_back(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    job = rows.add_job()
    for _ in range(4):
        steps.make_due(job)
        steps.claim_one()
        steps.expire(job)
        assert steps.reclaim() == {job: ("released", "pending")}

    assert _wait(rows, job) == 1.0


# Cancelled by the worker that ran it.


def test_a_cancelled_attempt_ends_its_job_and_session(steps: Steps, rows: Rows) -> None:
    session = rows.add_session()
    job = rows.add_job(session_id=session, max_retries=5)
    held = steps.started()

    assert steps.call_off(held, "skipped by AgeLimit: too old")

    row = rows.job(job)
    assert (row["status"], row["error_message"], row["retry_count"]) == ("cancelled", "skipped by AgeLimit: too old", 0)
    assert row["completed_at"] is not None
    assert rows.outcomes(job) == ["cancelled"]
    assert rows.session(session)["status"] == "failed"
    assert rows.session(session)["error_message"] == "skipped by AgeLimit: too old"
    assert not steps.call_off(held), "it is repeated"


def test_only_the_holder_can_cancel_an_attempt(steps: Steps, rows: Rows) -> None:
    job = rows.add_job()
    held = steps.started()

    for stranger in (replace(held, fence=held.fence + 1), replace(held, exec=uuid4()), replace(held, job_id=uuid4())):
        assert not steps.call_off(stranger)
    assert rows.status(job) == "processing"

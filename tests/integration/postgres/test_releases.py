"""Jobs handed back with no retry spent: at once at first, then ever later, so that none goes round and round."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.hands import Hands
from tests.support.rows import Rows

ENDS_A_ROW: dict[str, Callable[[Hands, Rows, UUID], object]] = {
    "an attempt that failed": lambda hands, _, job: _run_and(hands, job, hands.fail),
    "a retry by hand": lambda hands, rows, job: rows.all("SELECT retry_job(%s)", [job]),
}


def _run_and(hands: Hands, job: UUID, end: Callable[..., object]) -> None:
    hands.make_due(job)
    assert end(hands.started())


def _release(hands: Hands, job: UUID) -> float | None:
    """Claim it, start it and hand it back; the seconds that it waits then, None for not at all."""
    _run_and(hands, job, hands.release)
    return _wait(hands.rows, job)


def _wait(rows: Rows, job: UUID) -> float | None:
    row = rows.one(
        "SELECT due, extract(epoch FROM run_at - updated_at)::float AS wait FROM coding_jobs WHERE id = %s", [job]
    )
    assert row["due"] == (row["wait"] is None)
    wait: float | None = row["wait"]
    return wait


def test_from_the_fourth_time_in_a_row_it_waits_and_twice_as_long_each_time(hands: Hands, rows: Rows) -> None:
    job = rows.add_job(max_retries=2)

    waits = [_release(hands, job) for _ in range(6)]

    assert waits == [None, None, None, 1.0, 2.0, 4.0]
    row = rows.job(job)
    assert (row["status"], row["retry_count"], row["releases"]) == ("pending", 0, 6)
    assert rows.outcomes(job) == ["released"] * 6


@pytest.mark.parametrize(("releases", "seconds"), [(3, 0), (4, 1), (5, 2), (12, 256), (13, 300), (999_999_999, 300)])
def test_the_wait_grows_to_five_minutes(rows: Rows, releases: int, seconds: int) -> None:
    assert rows.value("SELECT extract(epoch FROM release_delay(%s))::integer", [releases]) == seconds


@pytest.mark.parametrize("how", ENDS_A_ROW)
def test_what_ends_otherwise_begins_the_count_anew(hands: Hands, rows: Rows, how: str) -> None:
    job = rows.add_job(max_retries=5)
    for _ in range(4):
        _release(hands, job)

    ENDS_A_ROW[how](hands, rows, job)

    assert [_release(hands, job) for _ in range(4)] == [None, None, None, 1.0]


def test_an_attempt_that_ran_for_five_minutes_begins_the_count_anew(hands: Hands, rows: Rows) -> None:
    job = rows.add_job()
    for _ in range(4):
        _release(hands, job)

    for minutes, releases in (("4:59", 5), ("5:01", 1)):
        hands.make_due(job)
        held = hands.started()
        rows.all(
            "UPDATE coding_jobs SET started_at = clock_timestamp() - %s::interval WHERE id = %s", [f"0:{minutes}", job]
        )
        assert hands.release(held)
        assert rows.job(job)["releases"] == releases


def test_a_wait_that_was_asked_for_is_kept_when_it_is_the_longer_one(hands: Hands, rows: Rows) -> None:
    job = rows.add_job()
    _run_and(hands, job, lambda held: hands.release(held, timedelta(seconds=7)))
    assert _wait(rows, job) == 7.0
    for _ in range(4):
        _release(hands, job)

    _run_and(hands, job, lambda held: hands.release(held, timedelta(seconds=1)))

    assert _wait(rows, job) == 4.0


def test_a_hand_over_that_nobody_starts_counts_as_handed_back(hands: Hands, rows: Rows) -> None:
    hands.add_worker()
    job = rows.add_job()
    for _ in range(4):
        hands.make_due(job)
        hands.claim_one()
        hands.expire(job)
        assert hands.reclaim() == {job: ("released", "pending")}

    assert _wait(rows, job) == 1.0


# Called off where it ran.


def test_an_attempt_called_off_ends_its_job_and_session(hands: Hands, rows: Rows) -> None:
    session = rows.add_session()
    job = rows.add_job(session_id=session, max_retries=5)
    held = hands.started()

    assert hands.call_off(held, "skipped by AgeLimit: too old")

    row = rows.job(job)
    assert (row["status"], row["error_message"], row["retry_count"]) == ("cancelled", "skipped by AgeLimit: too old", 0)
    assert row["completed_at"] is not None
    assert rows.outcomes(job) == ["cancelled"]
    assert rows.session(session)["status"] == "failed"
    assert rows.session(session)["error_message"] == "skipped by AgeLimit: too old"
    assert not hands.call_off(held), "said twice"


def test_nobody_else_can_call_an_attempt_off(hands: Hands, rows: Rows) -> None:
    job = rows.add_job()
    held = hands.started()

    for stranger in (replace(held, fence=held.fence + 1), replace(held, exec=uuid4()), replace(held, job_id=uuid4())):
        assert not hands.call_off(stranger)
    assert rows.status(job) == "processing"

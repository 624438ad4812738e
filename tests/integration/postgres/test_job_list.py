"""Lists of jobs: which ones a filter means, in which order, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from bridge.job import Status
from bridge.postgres.job_filter import JobFilter
from bridge.postgres.job_list import PageError, Place, list_jobs, parse_place
from bridge.postgres.link import Link
from tests.support.rows import Rows


def listed(link: Link, limit: int = 20, after: Place | None = None, **meant: Any) -> list[UUID]:
    return [row["id"] for row in list_jobs(link.call, JobFilter(**meant), limit=limit, error_most=9, after=after).jobs]


def add(rows: Rows, minutes: float, column: str, **columns: Any) -> UUID:
    job_id = rows.add_job(**columns)
    rows.all(f"UPDATE coding_jobs SET {column} = now() - %s * interval '1 minute' WHERE id = %s", [minutes, job_id])
    return job_id


def test_the_job_that_changed_last_comes_first(link: Link, rows: Rows) -> None:
    completed = add(rows, 6, "completed_at", status="completed", actor="x")
    waiting = add(rows, 5, "created_at", queue="other")
    failed = add(rows, 4, "completed_at", status="failed")
    running = add(rows, 3, "claimed_at", status="processing", actor="x")
    cancelled = add(rows, 2, "completed_at", status="cancelled")
    soon = add(rows, -1, "created_at", actor="x")  # by the clock of the machine that inserted it
    by_hand = rows.add_job(status="failed")  # has no end time

    assert listed(link) == [soon, by_hand, cancelled, running, failed, waiting, completed]
    assert listed(link, limit=3) == [soon, by_hand, cancelled]
    assert listed(link, actor="x") == [soon, running, completed]
    assert listed(link, status=Status.PENDING) == [soon, waiting]
    assert listed(link, status=Status.PROCESSING) == [running]
    assert listed(link, status=Status.COMPLETED) == [completed]
    assert listed(link, status=Status.FAILED) == [by_hand, failed]
    assert listed(link, status=Status.CANCELLED) == [cancelled]
    assert listed(link, status=Status.FAILED, actor="x") == []
    assert listed(link, queue="other") == [waiting]
    assert listed(link, older=timedelta(minutes=4, seconds=30)) == [waiting, completed]


def test_chosen_jobs_are_listed_a_page_at_a_time(link: Link, rows: Rows) -> None:
    jobs = [add(rows, minutes, "completed_at", status="failed") for minutes in range(5)]
    waiting = add(rows, 9, "created_at")
    meant = JobFilter(id=(*jobs[1:], waiting, uuid4()))

    first = list_jobs(link.call, meant, limit=3, error_most=9)
    rest = list_jobs(link.call, meant, limit=3, error_most=9, after=first.next)

    assert [row["id"] for row in first.jobs] == jobs[1:4]
    assert [row["id"] for row in rest.jobs] == [jobs[4], waiting]
    assert first.jobs[0].keys() == list_jobs(link.call, JobFilter(), limit=3, error_most=9).jobs[0].keys()
    assert listed(link, id=(jobs[0], waiting), status=Status.FAILED) == [jobs[0]]


@pytest.mark.parametrize("status", list(Status))
def test_each_condition_excludes_the_other_jobs_of_each_status(link: Link, rows: Rows, status: Status) -> None:
    session = rows.add_session()
    meant = rows.add_job(status=status, queue="reports", actor="build", session_id=session)
    ended = status in {Status.COMPLETED, Status.FAILED, Status.CANCELLED}
    rows.all(
        "UPDATE coding_jobs SET error_message = %s, prompt = %s, retry_count = 2, claimed_at = now(), completed_at = %s"
        " WHERE id = %s",
        ["It TIMED out", "make it Blue", datetime.now(UTC) if ended else None, meant],
    )
    rows.add_job(status=status)

    for condition in (
        {"queue": "reports"}, {"actor": "build"}, {"session": session}, {"error": "timed OUT"}, {"attempt": 2},
        {"text": "BLUE"}, {"text": "timed"}, {"session": session, "queue": "reports"},
    ):  # fmt: skip
        assert listed(link, **condition) == [meant], condition
        assert listed(link, status=status, **condition) == [meant], condition
    for condition in ({"attempt": 3}, {"error": "blue"}, {"text": "imed"}, {"session": uuid4()}):
        assert listed(link, **condition) == [], condition


def test_pages_follow_each_other_without_gap_or_repetition_also_where_times_are_equal(link: Link, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, queue, created_at, completed_at)"
        " SELECT s, 'q' || n % 2, '2026-01-01Z'::timestamptz + n / 3 * interval '1 s',"
        "        CASE WHEN s <> 'pending' THEN '2026-01-01Z'::timestamptz + n / 3 * interval '1 s' END"
        " FROM generate_series(1, 20) AS n, unnest(ARRAY['pending', 'failed', 'completed']) AS s"
    )
    everything = listed(link, limit=1000)
    pages: list[UUID] = []
    after = None
    while True:
        page = list_jobs(link.call, JobFilter(), limit=7, error_most=9, after=after)
        pages += [row["id"] for row in page.jobs]
        if page.next is None:
            break
        after = parse_place(str(page.next))

    assert len(everything) == 60
    assert pages == everything


def test_a_list_shows_the_beginning_of_a_long_error(link: Link, rows: Rows) -> None:
    rows.all("INSERT INTO coding_jobs (status, error_message) VALUES ('failed', repeat('endless ', 1000000))")

    (row,) = list_jobs(link.call, JobFilter(), limit=20, error_most=1000).jobs

    assert len(row["error_message"]) == 1000


@pytest.mark.parametrize(
    "text", ["", "x", "2026-01-01T00:00:00+00:00_x", "2026-01-01T00:00:00_11111111-2222-4333-8444-555555555555"]
)
def test_a_page_that_no_list_has_given_is_refused(text: str) -> None:
    with pytest.raises(PageError, match="start at the first page"):
        parse_place(text)


_ENDED = """
    INSERT INTO coding_jobs (status, completed_at)
    SELECT %s, '2026-01-01Z'::timestamptz + %s * interval '1 s' + n / %s * interval '1 s'
    FROM generate_series(1, %s) AS n"""
_BY_HAND = """
    INSERT INTO coding_jobs (status, created_at, updated_at)
    SELECT 'completed', t.at, t.at
    FROM (SELECT '2025-01-01Z'::timestamptz + n * interval '1 s' AS at FROM generate_series(1, %s) AS n) t"""


@pytest.mark.parametrize(
    "ended",
    [
        [("completed", 0, 1, 2600)],
        [("completed", 0, 10_000, 2600)],
        [("completed", 9000, 1, 10), ("failed", 5000, 1, 2100), ("completed", 0, 1, 350)],
    ],
    ids=["each at its time", "all at one time", "behind many of another status"],
)
def test_pages_of_one_status_are_those_of_the_whole_list(
    link: Link, rows: Rows, ended: list[tuple[str, int, int, int]]
) -> None:
    for jobs in ended:
        rows.all(_ENDED, jobs)
    rows.all(_BY_HAND, [400])
    meant = JobFilter(status=Status.COMPLETED)
    whole = [row["id"] for row in list_jobs(link.call, meant, limit=5000, error_most=9).jobs]
    pages: list[UUID] = []
    after = None
    while True:
        page = list_jobs(link.call, meant, limit=300, error_most=9, after=after)
        pages += [row["id"] for row in page.jobs]
        after = page.next
        if after is None:
            break

    assert len(whole) == 400 + sum(number for status, _, _, number in ended if status == "completed")
    assert pages == whole

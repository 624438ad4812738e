"""Free text: what it finds among all jobs, and how a page says what was not searched."""

from collections.abc import Callable
from uuid import UUID

import pytest

from bridge.postgres.job_filter import FilterError, parse_filter
from bridge.postgres.link import Link
from tests.support.job_words import add, counted, found, index, page
from tests.support.limited_role import LimitedRole
from tests.support.rows import Rows
from tests.support.steps import Steps


@pytest.mark.parametrize("searched", [0, 100], ids=["by the index", "by looking"])
@pytest.mark.parametrize(
    ("written", "is_found"),
    [
        ("login", True),
        ("LOGIN", True),
        ("log", True),  # the last word may go on
        ("log form", False),  # another one may not
        ("lo form", False),
        ("lo", False),
        ("ogin", False),
        ("form login", True),
        ("login form missing", False),
        ("form timeout", True),  # one in the prompt, one in the error
        ("src/app/main.py", True),
        ("main.py", True),
        ("app_main", True),
        ('"status:open"', True),
        ('"login form"', True),
        ("snake_case", True),
        ("case", True),
        ("grö", True),
        ("GRÖSSE", False),
        ("größe", True),
        ("%", None),
        ("' & \\ |", None),
        ("it's", True),
    ],
)
def test_all_words_must_occur_and_the_last_may_be_the_beginning_of_one(
    link: Link, rows: Rows, written: str, searched: int, *, is_found: bool | None
) -> None:
    prompt = "Fix the Login-Form of größe (src/app/main.py); it's status:open, see snake_case"
    job = add(rows, prompt, status="failed", error_message="TimeoutError: no answer")
    add(rows, "something else")
    if not searched:
        index(link)
    if is_found is None:
        with pytest.raises(FilterError, match="no word"):
            parse_filter(written)
        return

    assert found(link, written, searched=searched) == ([job] if is_found else [])


def test_each_condition_excludes_jobs_that_the_index_finds(link: Link, rows: Rows) -> None:
    session = rows.add_session()
    job = add(
        rows, "blue", status="failed", queue="reports", actor="it's \\ 'built'", retry_count=2,
        session_id=session, error_message="boom 7",
    )  # fmt: skip
    fingerprint = rows.value("SELECT error_fingerprint('boom 7')")
    add(rows, "blue", minutes=1)
    index(link)

    for given in (
        "status:failed", "queue:reports", "actor:\"it's \\\\ 'built'\"", "attempt:2", "error:BOOM", "older:5m",
        f"session:{session}", f"fingerprint:{fingerprint}", "status:failed queue:reports older:5m",
    ):  # fmt: skip
        assert found(link, f"{given} blue") == [job], given
    for given in ("status:cancelled", "queue:none", "actor:none", "attempt:3", "error:blue", "older:1h"):
        assert found(link, f"{given} blue") == [], given


def test_the_latest_come_first_page_by_page_also_where_times_are_equal(link: Link, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, prompt, completed_at)"
        " SELECT 'completed', CASE WHEN n % 2 = 0 THEN 'blue' ELSE 'red' END,"
        "        '2026-01-01Z'::timestamptz + n / 7 * interval '1 s'"
        " FROM generate_series(1, 200) AS n"
    )
    index(link, limit=30)
    everything = [
        row["id"]
        for row in rows.all("SELECT id FROM coding_jobs WHERE prompt = 'blue' ORDER BY completed_at DESC, id DESC")
    ]
    pages: list[UUID] = []
    after = None
    while len(pages) <= len(everything):
        one = page(link, "blue", limit=7, after=after)
        pages += [row["id"] for row in one.jobs]
        if one.next is None:
            break
        after = str(one.next)

    assert pages == everything


def test_a_job_that_changed_since_is_found_as_it_is_now(link: Link, rows: Rows, steps: Steps) -> None:
    job = add(rows, "blue", status="failed", error_message="first trouble")
    index(link)
    rows.all("SELECT retry_job(%s)", [job])

    assert found(link, "blue") == [], "what the index has is outdated"
    assert [row["status"] for row in page(link, "blue", searched=100).jobs] == ["pending"]

    steps.fail(steps.started(), "second problem", final=True)
    assert found(link, "problem", searched=100) == [job]
    rows.all("UPDATE coding_jobs SET completed_at = completed_at - interval '3 s' WHERE id = %s", [job])
    assert index(link) == 1

    assert found(link, "problem") == [job]
    assert found(link, "trouble") == []


def test_the_beginning_of_a_text_and_of_a_word_is_searched(link: Link, rows: Rows) -> None:
    job = add(rows, "first " + "é" * 100 + " " + "filler " * 2000 + "last")
    for searched in (100, 0):
        assert found(link, "first", searched=searched) == [job]
        assert found(link, "é" * 100, searched=searched) == [job]
        assert found(link, "é" * 80 + " first", searched=searched) == [job]
        assert found(link, "é" * 63 + "x", searched=searched) == []
        assert found(link, "last", searched=searched) == []
        index(link)


def test_a_page_says_what_it_did_not_search(link: Link, rows: Rows) -> None:
    for minutes in (9, 8, 7):
        add(rows, "blue", minutes=minutes)

    none = page(link, "red", searched=2).note
    assert none == "Of the jobs only the latest 2 of each status were searched: the others are not indexed yet"
    assert page(link, "red", searched=3).note is None
    assert page(link, "blue", searched=2, limit=2).note is None, "the page is full"

    link.call("index_jobs", {"limit": 1, "looked_at": 10})
    since = rows.value("SELECT to_char((now() - interval '9 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')")
    assert page(link, "red", searched=2).note is None
    some = page(link, "red", searched=1).note
    assert some is not None
    assert some.startswith(f"Of the jobs that ended after {since} UTC only the latest 1 of each status")
    assert page(link, "blue", searched=1, limit=1).note is None
    assert page(link, "blue", searched=1, limit=2).note == some, "another one may belong between these"

    index(link)
    rows.all("UPDATE job_search_progress SET ended_at = now()")
    assert page(link, "red", searched=2).note is None


def test_the_index_is_used_and_no_table_is_read_as_a_whole(link: Link, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, prompt, completed_at)"
        " SELECT 'completed', 'blue ' || n, now() - n * interval '1 s' FROM generate_series(10, 5000) AS n"
    )
    index(link)
    used = (
        "SELECT (SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'job_search_words') AS words,"
        " (SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'jobs_ended') AS ends,"
        " (SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('job_search', 'coding_jobs')) AS whole"
    )

    def scans(during: Callable[[], object]) -> dict[str, int]:
        before = counted(link, rows, used)
        during()
        return {name: count - before[name] for name, count in counted(link, rows, used).items()}

    def rare_words() -> None:
        assert len(found(link, "4321")) == 1
        assert found(link, "nowhere") == []

    rare = scans(rare_words)
    assert (rare["words"] >= 3, rare["whole"]) == (True, 0)
    frequent = scans(lambda: found(link, "blue"))
    assert (frequent["words"], frequent["whole"]) == (0, 0), "by time"
    next_ends = scans(lambda: link.call("index_jobs", {"limit": 10, "looked_at": 10}))
    assert (next_ends["ends"] < 100, next_ends["whole"]) == (True, 0)


def test_a_role_that_may_only_read_jobs_looks_at_the_latest(rows: Rows, role: LimitedRole) -> None:
    job = add(rows, "blue")
    rows.all(f"REVOKE ALL ON job_search, job_search_progress FROM {role.name}")
    link = Link(role.dsn, "limited")
    try:
        assert found(link, "blue", searched=10) == [job]
    finally:
        link.close()


def test_too_many_candidates_are_cut_and_that_is_said(link: Link, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, prompt, retry_count, completed_at)"
        " SELECT 'completed', 'blue', n % 2, now() - n * interval '1 s' FROM generate_series(10, 2100) AS n"
    )
    index(link)

    everywhere = page(link, "attempt:1 blue", limit=20)
    rare = page(link, "attempt:2 blue", limit=20)

    assert (len(everywhere.jobs), everywhere.note) == (20, None)
    assert rare.jobs == []
    assert rare.note == "Only the latest 1,000 jobs with these words were compared with the other conditions"

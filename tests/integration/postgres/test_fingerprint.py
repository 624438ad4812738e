"""Which errors count as alike, and how their jobs are found."""

import pytest

from bridge.postgres.job_filter import parse_filter
from bridge.postgres.job_list import list_jobs
from bridge.postgres.link import Link
from tests.support.bulk import add_failed
from tests.support.rows import Rows


def fingerprint(rows: Rows, error: str | None) -> str:
    return str(rows.value("SELECT error_fingerprint(%s)", [error]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("timeout after 30 s", "timeout after 1,200.5 s"),
        ("row 7 of 9", "row 12 of 3456"),
        ("no session 01a223f6-b448-7cec-8183-12d26393381b", "no session 0196E0A0-0000-7000-8000-000000000000"),
        ("commit deadbeef12 is lost", "commit 12345678abcdef is lost"),
        ("at 0xdeadbeef", "at 0x7ffe12"),
        ("KeyError: 'name'", "KeyError: 'user id'"),
        ('no column "a"', 'no column "b c"'),
        ("cannot read /var/run/app.sock", "cannot read /tmp/other-file_2.txt"),
        (r"cannot read C:\\Users\\ann.txt", r"cannot read D:\\x"),
        ("GET https://a.example/v1?x=1 failed", "GET https://b.example/v2/y?x=22 failed"),
        ("x" * 300 + "one", "x" * 300 + "two"),
        (None, ""),
    ],
)
def test_alike_errors_have_one_fingerprint(rows: Rows, one: str | None, other: str) -> None:
    assert fingerprint(rows, one) == fingerprint(rows, other)
    assert len(fingerprint(rows, one)) == 8


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'a'", "ValueError: 'a'"),
        ("can't open it, won't try", "can't close it, won't try"),
        ("badface", "deface"),
        ("boom", "Boom"),
        ("ärger", "örger"),
    ],
)
def test_other_errors_have_other_fingerprints(rows: Rows, one: str, other: str) -> None:
    assert fingerprint(rows, one) != fingerprint(rows, other)


def test_the_filter_finds_the_failed_jobs_with_a_fingerprint(link: Link, rows: Rows) -> None:
    add_failed(rows, 3, error="boom 1")
    add_failed(rows, 2, error="boom 22", queue="other")
    add_failed(rows, 1, error="bang")
    rows.add_job(status="cancelled")
    rows.all("UPDATE coding_jobs SET error_message = 'boom 4' WHERE status = 'cancelled'")
    meant = f"fingerprint:{fingerprint(rows, 'boom 3')}"

    def listed(jobs: str) -> int:
        return len(list_jobs(link.call, parse_filter(jobs), limit=100, error_most=9).jobs)

    assert (listed(meant), listed(f"{meant} queue:other"), listed(f"{meant} bang")) == (5, 2, 0)
    rows.all("UPDATE coding_jobs SET completed_at = NULL WHERE queue = 'other'")
    assert listed(meant) == 5


def test_a_search_by_fingerprint_reads_the_index_and_not_all_failed_jobs(link: Link, rows: Rows) -> None:
    add_failed(rows, 2000, error="bang")
    add_failed(rows, 1, error="boom")
    rows.all("ANALYZE coding_jobs")
    read = (
        "SELECT pg_stat_force_next_flush(), idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'jobs_failed'"
    )
    before = rows.one(read)["idx_tup_read"]

    jobs = list_jobs(link.call, parse_filter(f"fingerprint:{fingerprint(rows, 'boom')}"), limit=50, error_most=9).jobs

    link.connection.execute("SELECT pg_stat_force_next_flush()")
    assert len(jobs) == 1
    assert rows.one(read)["idx_tup_read"] == before


def test_a_role_that_fails_a_job_by_hand_needs_no_right_on_the_index(rows: Rows) -> None:
    job_id = rows.add_job()
    rows.all("CREATE ROLE app; GRANT SELECT, UPDATE ON coding_jobs TO app; SET ROLE app")
    try:
        rows.all("UPDATE coding_jobs SET status = 'failed', error_message = 'by hand' WHERE id = %s", [job_id])
    finally:
        rows.all("RESET ROLE; DROP OWNED BY app; DROP ROLE app")

    assert rows.value("SELECT fingerprint FROM dead_letters(NULL, 9, 9, 9)") == fingerprint(rows, "by hand")


def test_a_group_has_the_times_and_the_example_of_its_own_failed_jobs(rows: Rows) -> None:
    def add(error: str, hours: int | None, status: str = "failed", queue: str = "a") -> object:
        job_id = rows.add_job(status=status, queue=queue, actor="x")
        rows.all(
            "UPDATE coding_jobs SET error_message = %s, completed_at = date_trunc('hour', now()) - %s * interval '1 h'"
            " WHERE id = %s",
            [error, hours, job_id],
        )
        return job_id

    add("boom 1", 5)
    latest = add("boom 22", 2, queue="b")
    add("boom 3", None)
    for hours in (1, 9):
        add("boom 4", hours, status="cancelled", queue="c")
        add("bang", hours)
    add("other", 1, status="cancelled")

    found = rows.all("""
        SELECT jobs, is_all, example, error, queues, actors,
               extract(epoch FROM date_trunc('hour', now()) - first_at) / 3600 AS first,
               extract(epoch FROM date_trunc('hour', now()) - last_at) / 3600 AS last
        FROM dead_letters(NULL, 9, 9, 4) ORDER BY jobs DESC""")

    assert [(row["jobs"], row["first"], row["last"]) for row in found] == [(3, 5, 2), (2, 9, 1)]
    del found[0]["first"], found[0]["last"]
    assert found[0] == {
        "jobs": 3, "is_all": True, "example": latest, "error": "boom", "queues": ["a", "b"], "actors": ["x"],
    }  # fmt: skip


def test_calling_it_for_each_row_costs_the_planner_more_than_reading_the_index(rows: Rows) -> None:
    # A tenth of a second for a thousand rows: with the usual cost, tables without statistics were read that way.
    assert rows.value("SELECT procost FROM pg_proc WHERE oid = 'public.error_fingerprint'::regproc") >= 10_000

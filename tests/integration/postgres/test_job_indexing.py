"""The index of the words of jobs: which jobs come into it, in which order, and that no step of a job waits for it."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.postgres.link import Link
from tests.support.job_words import add, counted, found, index
from tests.support.rows import Rows
from tests.support.steps import Steps

SWEEP = "UPDATE job_search_progress SET swept_at = '-infinity'"


def test_the_words_of_a_deleted_job_are_deleted(link: Link, rows: Rows) -> None:
    job, left_over = add(rows, "blue"), add(rows, "blue")
    index(link)

    rows.all("DELETE FROM coding_jobs WHERE id = %s", [job])
    assert rows.all("SELECT job_id FROM job_search") == [{"job_id": left_over}]

    rows.all("SET session_replication_role = replica; DELETE FROM coding_jobs; SET session_replication_role = origin")
    rows.all(SWEEP)
    index(link)
    assert rows.all("SELECT FROM job_search") == []


def test_a_sweep_finds_what_the_order_of_ends_has_passed(link: Link, rows: Rows) -> None:
    add(rows, "latest", minutes=1)
    index(link)
    late, waiting = add(rows, "blue late", minutes=60), add(rows, "blue waiting", minutes=50, status="pending")
    by_hand = rows.add_job(status="failed", prompt="blue by hand")
    add(rows, "blue new", minutes=1, status="pending")  # most likely runs soon
    add(rows, "blue running", minutes=50, status="processing", claimed_at="2026-01-01Z")
    assert index(link) == 0, "within the hour"

    rows.all(SWEEP)
    while rows.value("SELECT swept_at = '-infinity' FROM job_search_progress"):
        index(link, looked_at=2)

    assert found(link, "blue") == [by_hand, waiting, late]
    rows.all("UPDATE coding_jobs SET queue = 'reports' WHERE id = %s", [waiting])
    rows.all(SWEEP)
    assert index(link) == 1
    assert found(link, "blue queue:reports") == [waiting]
    rows.all(SWEEP)
    assert index(link) == 0


def test_each_step_of_a_sweep_takes_the_next_ids_only(link: Link, rows: Rows) -> None:
    first, *others = (add(rows, "blue", id=UUID(int=n), status="pending") for n in (10, 20, 30))
    left_over = "INSERT INTO job_search VALUES (%s, now(), '')"
    which_left = "SELECT array_agg(s.job_id ORDER BY s.job_id) FROM job_search s WHERE s.words = ''"
    behind, ahead = UUID(int=5), UUID(int=25)
    rows.all(left_over, [ahead])

    def step() -> int:
        return int(link.call("index_jobs", {"limit": 10, "looked_at": 1})[0]["indexed"])

    assert step() == 1
    rows.all("UPDATE coding_jobs SET queue = 'reports' WHERE id = %s", [first])
    rows.all(left_over, [behind])
    assert (step(), rows.value(which_left)) == (1, [behind, ahead])
    assert found(link, "blue") == [others[0], first]
    assert (step(), rows.value(which_left)) == (1, [behind])


def test_a_step_indexes_no_more_than_was_asked_for_and_none_is_passed_over(link: Link, rows: Rows) -> None:
    for status in ("completed", "failed", "pending", "pending"):
        add(rows, "blue", status=status)

    steps = [link.call("index_jobs", {"limit": 1, "looked_at": 10})[0]["indexed"] for _ in range(5)]

    assert steps == [1, 1, 1, 1, 0]


def test_an_end_that_commits_late_is_not_passed(link: Link, rows: Rows, dsn: str) -> None:
    add(rows, "first", minutes=1)
    index(link)
    with psycopg.connect(dsn) as other:
        # Both a minute ahead, because the machine may be slow.
        other.execute(
            "INSERT INTO coding_jobs (status, completed_at) VALUES ('completed', now() + interval '1 minute')"
        )
        add(rows, minutes=-1)
        assert index(link) == 0
        rows.all(SWEEP)
        assert index(link) == 0, "they come in their order"

    rows.all("UPDATE coding_jobs SET completed_at = completed_at - interval '90 s' WHERE prompt IS NULL")
    assert index(link) == 2


def test_a_sweep_reads_no_words_of_jobs_that_have_ended(link: Link, rows: Rows) -> None:
    add(rows, " ".join(uuid4().hex for _ in range(200)))
    index(link)
    rows.all(SWEEP)
    read = "SELECT toast_blks_read + toast_blks_hit AS blocks FROM pg_statio_user_tables WHERE relname = 'job_search'"
    before = counted(link, rows, read)

    index(link)

    assert rows.value("SELECT swept_at > now() - interval '1 minute' FROM job_search_progress")
    assert counted(link, rows, read) == before


@pytest.mark.parametrize(
    "text",
    [
        "repeat('blue ', 4000000)",
        "(SELECT string_agg('word' || n, ' ') FROM generate_series(1, 100000) AS n)",
        "repeat('x', 3000) || ' ' || repeat('é', 3000)",
        "repeat('日本語', 7000)",
        "'%_\\'' & | ! <-> :* == \"'",
        "''",
        "NULL",
        "chr(1) || chr(127) || chr(160) || chr(8203) || chr(65279) || chr(1114109)",
    ],
)
def test_no_text_stops_the_index(link: Link, rows: Rows, text: str) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, prompt, error_message, completed_at)"
        f" SELECT 'failed', t, t, now() - interval '1 minute' FROM (SELECT {text} AS t) x"
    )
    good = add(rows, "good", minutes=0.5)

    assert index(link) == 2
    assert found(link, "good") == [good]
    longest = "SELECT max(length(w)) FROM job_search s, unnest(tsvector_to_array(s.words)) AS w WHERE w NOT LIKE '=%'"
    assert rows.value(longest) <= 64, "longer ones would break the index, without an error"


def test_one_bridge_indexes_at_a_time(link: Link, rows: Rows, dsn: str) -> None:
    add(rows, "blue")
    with psycopg.connect(dsn) as other:
        assert other.execute("SELECT indexed FROM index_jobs(10, 10)").fetchone() == (1,)
        assert index(link) == 0

    assert rows.value("SELECT count(*) FROM job_search") == 1


@pytest.fixture
def hidden(rows: Rows) -> Iterator[None]:
    for table in ("job_search", "job_search_progress"):
        rows.all(f"ALTER TABLE {table} RENAME TO {table}_gone")
    yield
    for table in ("job_search", "job_search_progress"):
        rows.all(f"ALTER TABLE {table}_gone RENAME TO {table}")


@pytest.mark.usefixtures("hidden")
def test_no_step_of_a_job_reads_or_writes_the_index(link: Link, rows: Rows, steps: Steps) -> None:
    worker = steps.add_worker()
    done = rows.add_job(prompt="a")
    steps.complete(steps.started(worker))
    broken = rows.add_job(prompt="b")
    steps.fail(steps.started(worker), final=True)
    stopped = rows.add_job(prompt="c")
    rows.all("SELECT cancel_job(%s)", [stopped])
    rows.all("SELECT retry_job(%s)", [stopped])

    assert [rows.status(job) for job in (done, broken, stopped)] == ["completed", "failed", "pending"]
    assert found(link, "a", searched=10) == [done], "a list does without it"

"""`mobvibe jobs … --matching` and `mobvibe bulk`."""

import json

import pytest

from bridge.postgres.link import Link
from tests.support.bulk import add_failed, planned
from tests.support.bulk import run as run_batches
from tests.support.commands import Run
from tests.support.rows import Rows


def test_all_jobs_of_a_filter_are_retried_watched_and_stopped(run: Run, rows: Rows, link: Link) -> None:
    add_failed(rows, 5)
    add_failed(rows, 1, queue="other")

    result = run("jobs", "retry", "--matching", "queue:tests", "--rate", "2", "--reason", "fixed", "--yes")

    assert (result.code, result.out) == (0, "1\n")
    assert result.one_line() == "Retry of 5 jobs: mobvibe bulk show 1"
    run_batches(link)
    found = json.loads(run("bulk", "show", "1", "--json").out)
    assert (found["state"], found["done"], found["total"], found["reason"]) == ("running", 2, 5, "fixed")
    assert "jobs_per_second" in run("bulk", "show", "1").out
    assert [row["id"] for row in json.loads(run("bulk", "list", "--json").out)] == [1]
    assert run("bulk", "stop", "1").out == "stopped\n"
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'failed'") == 4


@pytest.mark.parametrize(("action", "status"), [("cancel", "pending"), ("replay", "failed")])
def test_jobs_are_cancelled_and_replayed_by_a_filter(
    run: Run, rows: Rows, link: Link, action: str, status: str
) -> None:
    for _ in range(3):
        rows.add_job(status=status, queue="tests")

    assert run("jobs", action, "--matching", f"status:{status}", "--yes").code == 0
    run_batches(link)

    assert rows.value("SELECT count(*) FROM job_audit WHERE action = %s", [action]) == 3


def test_nobody_is_asked_where_nobody_can_answer(run: Run, rows: Rows) -> None:
    add_failed(rows, 5)

    result = run("jobs", "retry", "--matching", "status:failed")

    assert result.code == 2
    assert "Retry 5 jobs?" in result.err
    assert "add --yes" in result.err
    assert rows.value("SELECT state FROM bulk_operations") == "planned"


def test_a_filter_that_means_no_job_starts_nothing(run: Run, rows: Rows) -> None:
    result = run("jobs", "retry", "--matching", "queue:none", "--yes")

    assert (result.code, result.out, result.err) == (0, "", "No job matches.\n")
    assert rows.value("SELECT state FROM bulk_operations") == "planned"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("jobs", "retry"), 2, "Give ids of jobs, or --matching FILTER"),
        (("jobs", "retry", "0196e0a0-0000-7000-8000-000000000000", "--matching", "x"), 2, "Give ids of jobs, or"),
        (("jobs", "replay", "--matching", "x", "--payload", "{}"), 2, "are for one job"),
        (("jobs", "retry", "--matching", "stat:x"), 1, "stat: is no qualifier"),
        (("jobs", "cancel", "--matching", "status:failed"), 1, "cancel acts on jobs that are pending, processing"),
        (("jobs", "retry", "--matching", "x", "--rate", "0"), 2, "is not in the range"),
        (("bulk", "show", "7"), 1, "There is no bulk operation 7"),
        (("bulk", "stop", "7"), 1, "There is no bulk operation 7"),
        (("bulk", "show", "9223372036854775808"), 2, "is not in the range"),
    ],
)
def test_what_cannot_be_is_explained(run: Run, args: tuple[str, ...], code: int, message: str) -> None:
    result = run(*args)

    assert (result.code, message in result.err, "Traceback" in result.err) == (code, True, False)


def test_a_plan_that_was_not_started_is_not_listed(run: Run, link: Link) -> None:
    planned(link, "retry", "status:failed")

    assert run("bulk", "list").err == "No bulk operation was started yet.\n"

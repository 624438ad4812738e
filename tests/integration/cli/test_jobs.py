"""`mobvibe jobs`: sending, showing, cancelling, retrying and listing jobs."""

import json
from uuid import UUID, uuid4

import pytest

from tests.support.commands import Run
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_a_job_can_be_sent_shown_cancelled_and_retried(run: Run, rows: Rows, steps: Steps) -> None:
    sent = run("jobs", "send", "add a login page", "--priority", "10")
    job_id = UUID(sent.out.strip())
    job = rows.job(job_id)
    assert (job["prompt"], job["priority"], job["actor"]) == ("add a login page", 10, "run_coding_session")
    assert rows.session(job["session_id"])["status"] == "pending"

    shown = json.loads(run("jobs", "show", str(job_id), "--json").out)
    assert (shown["status"], shown["attempts"]) == ("pending", [])
    steps.add_worker()
    steps.release(steps.started())
    assert "released" in run("jobs", "show", str(job_id)).out

    assert run("jobs", "cancel", str(job_id), "--reason", "test").out == f"{job_id} is cancelled\n"
    assert run("jobs", "cancel", str(job_id)).out == f"{job_id} is cancelled\n"
    assert run("jobs", "retry", str(job_id)).out == f"{job_id} will run\n"
    assert [row["action"] for row in rows.all("SELECT action FROM job_audit ORDER BY id")] == ["cancel", "retry"]


def test_a_job_whose_payload_python_cannot_read_is_one_line(run: Run, rows: Rows) -> None:
    job_id = rows.value("INSERT INTO coding_jobs (payload) VALUES ('{\"n\": 1e5000}') RETURNING id")

    result = run("jobs", "show", str(job_id))

    assert result.code == 1
    assert result.one_line().startswith(f"mobvibe: Job {job_id} holds JSON that cannot be read here: ")


def test_jobs_of_any_actor_can_be_sent(run: Run, rows: Rows) -> None:
    result = run(
        "jobs", "send", "--actor", "build_report", "--payload", '{"rows": 7}', "--max-retries", "5",
        "--run-at", "2030-01-31T08:00:00+0100",
    )  # fmt: skip

    job = rows.job(UUID(result.out.strip()))
    assert (job["actor"], job["payload"], job["max_retries"]) == ("build_report", {"rows": 7}, 5)
    assert job["run_at"].isoformat().startswith("2030-01-31T07:00:00")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("jobs", "send", "--payload", "{"), "is not JSON"),
        (("jobs", "send", "--payload", "[]"), "must be a JSON object"),
        (("jobs", "send", "--payload", "[" * 100_000), "is not JSON"),
        (("jobs", "send", "--payload", '{"n": ' + "9" * 5000 + "}"), "is not JSON"),
        (("jobs", "send", "--actor", ""), "must be a name of 1 to 200 characters"),
        (("jobs", "send", "--actor", "a" * 201), "must be a name of 1 to 200 characters"),
        (("jobs", "send", "--actor", "a\udcff"), "is not UTF-8 text"),
        (("jobs", "send", "a prompt \udcff"), "is not UTF-8 text"),
        (("jobs", "send", "--max-retries", "99999999999"), "is not in the range"),
        (("jobs", "list", "--actor", "\udcff"), "is not UTF-8 text"),
        (("jobs", "cancel", str(uuid4()), "--reason", "\udcff"), "is not UTF-8 text"),
        (("healthcheck", "--timeout", "-1"), "is not in the range"),
        (("jobs", "show", "7"), "not a valid UUID"),
        (("jobs", "list", "--status", "lost"), "is not one of"),
        (("jobs",), "Usage:"),
        (("nonsense",), "No such command"),
    ],
)
def test_bad_usage_is_explained_with_exit_code_2(run: Run, args: tuple[str, ...], message: str) -> None:
    result = run(*args)

    assert result.code == 2
    assert message in result.err + result.out
    assert "Traceback" not in result.err


def test_a_job_that_does_not_exist_is_reported_with_exit_code_1(run: Run) -> None:
    job_id = str(uuid4())

    shown = run("jobs", "show", job_id)
    assert (shown.code, shown.one_line()) == (1, f"mobvibe: There is no job {job_id}")
    cancelled = run("jobs", "cancel", job_id)
    assert (cancelled.code, cancelled.out) == (1, f"{job_id} does not exist\n")


def test_jobs_are_listed_and_counted(run: Run, rows: Rows) -> None:
    assert run("jobs", "list").err == "No such jobs.\n"
    rows.add_job(queue="reports", actor="x")
    rows.add_job(status="failed", error_message="boom")

    assert len(json.loads(run("jobs", "list", "--json").out)) == 2
    assert "boom" in run("jobs", "list", "--status", "failed").out
    assert [row["queue"] for row in json.loads(run("queues", "--json").out)] == ["reports"]
    status = json.loads(run("status", "--json").out)
    assert (status["pending"], status["failed"], status["workers"]) == (1, 1, 0)
    assert "pending               1" in run("status").out


def test_a_job_that_no_live_worker_runs_is_sent_and_reported_as_waiting(run: Run, rows: Rows, steps: Steps) -> None:
    result = run("jobs", "send", "--actor", "hello")
    assert (result.code, result.one_line()) == (0, "mobvibe: it waits: no worker is alive. Start one: mobvibe worker")

    steps.add_worker(actors={"hello": {"queue": "greetings", "max_retries": 3}})
    assert run("jobs", "send", "--actor", "hello").err == ""
    for mistake in (("--actor", "helo"), ("hello",)):
        result = run("jobs", "send", *mistake)
        assert result.out.strip() == str(rows.value("SELECT id FROM coding_jobs ORDER BY seq DESC LIMIT 1"))
        assert result.one_line().endswith("is not among those of the live workers: did you mean --actor hello?")
    result = run("jobs", "send", "--actor", "build_report")
    assert result.one_line().endswith("not among those of the live workers, which have hello")


def test_a_list_takes_a_filter(run: Run, rows: Rows) -> None:
    meant = rows.add_job(actor="build", queue="reports", status="failed")
    rows.all("UPDATE coding_jobs SET error_message = 'Timed out' WHERE id = %s", [meant])
    rows.add_job(actor="build", queue="reports", status="failed")

    listed = json.loads(run("jobs", "list", "queue:reports", "timed", "--status", "failed", "--json").out)

    assert [job["id"] for job in listed] == [str(meant)]
    assert "is no qualifier; there are status, queue" in run("jobs", "list", "que:x").one_line()


def test_a_list_that_did_not_read_all_jobs_says_so(run: Run, rows: Rows) -> None:
    rows.add_job(actor="rare", status="completed")
    assert run("jobs", "list", "--actor", "rare").err == ""
    rows.all(
        "INSERT INTO coding_jobs (status, completed_at, fence)"
        " SELECT 'completed', now(), 1 FROM generate_series(1, 50001)"
    )

    result = run("jobs", "list", "--actor", "seldom")

    assert result.err == "No such jobs.\nSearched the latest 50000 of each kind. For older jobs use psql.\n"
    searched = run("jobs", "list", "words").err
    assert searched.startswith(
        "No such jobs.\nOf the jobs only the latest 50,000 of each status were searched: the others"
    )
    assert run("jobs", "list").err == ""

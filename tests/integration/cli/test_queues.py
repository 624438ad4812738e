"""`mobvibe queues`: showing, pausing and resuming queues."""

import json

import pytest

from tests.support.commands import Run
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_a_queue_is_paused_shown_and_resumed(run: Run, rows: Rows, steps: Steps) -> None:
    steps.add_worker()
    rows.add_job()
    rows.add_job()

    assert run("queues", "pause", "coding", "--reason", "the disk is full").out == "coding is paused: 2 jobs wait\n"

    assert steps.claim() == []
    (shown,) = json.loads(run("queues", "--json").out)
    assert (shown["queue"], shown["pending"], shown["pause_reason"]) == ("coding", 2, "the disk is full")
    assert shown["paused_at"]
    listed = run("queues").out
    assert "pause_reason" in listed
    assert "the disk is full" in listed

    resumed = run("queues", "resume", "coding", "--reason", "a new disk").out
    assert resumed.startswith("coding is resumed; it was paused since ")
    assert resumed.endswith(": the disk is full\n")
    assert len(steps.claim()) == 2
    assert [tuple(row.values()) for row in rows.all("SELECT action, reason FROM operator_audit ORDER BY id")] == [
        ("pause_queue", "the disk is full"), ("resume_queue", "a new disk"),
    ]  # fmt: skip


def test_who_comes_second_learns_who_was_first(run: Run, rows: Rows) -> None:
    rows.all("SELECT pause_queue('reports', 'ann', 'why')")

    second = run("queues", "pause", "reports", "--reason", "because")

    assert second.code == 0
    assert second.out.startswith("reports is already paused since ")
    assert second.out.endswith(" by ann: why\n")
    assert rows.value("SELECT count(*) FROM operator_audit") == 1


def test_a_queue_that_is_not_paused_is_left_as_it_is(run: Run, rows: Rows) -> None:
    result = run("queues", "resume", "reports")

    assert (result.code, result.out) == (0, "reports is not paused\n")
    assert rows.value("SELECT count(*) FROM operator_audit") == 0


def test_a_queue_may_be_paused_before_its_first_job(run: Run, rows: Rows) -> None:
    assert run("queues").err == "No open jobs.\n"

    assert run("queues", "pause", "reports").out == "reports is paused: 0 jobs wait\n"

    (shown,) = json.loads(run("queues", "--json").out)
    assert (shown["queue"], shown["pending"], shown["oldest_pending_seconds"]) == ("reports", 0, None)


def test_open_queues_have_no_pause(run: Run, rows: Rows) -> None:
    rows.add_job(queue="reports")
    rows.add_job(queue="done", status="completed")

    (shown,) = json.loads(run("queues", "--json").out)

    assert list(shown) == [
        "queue", "pending", "processing", "oldest_pending_seconds", "paused_at", "paused_by", "pause_reason",
    ]  # fmt: skip
    assert shown["queue"] == "reports"
    assert [shown[name] for name in ("paused_at", "paused_by", "pause_reason")] == [None, None, None]


@pytest.mark.parametrize("action", ["pause", "resume"])
@pytest.mark.parametrize("name", ["", "a/b", "ä", "x'y", "\x1b[31m", "a" * 201, "\udcff"])
def test_a_name_that_no_queue_can_have_is_named(run: Run, rows: Rows, action: str, name: str) -> None:
    result = run("queues", action, name)

    assert result.code == 2
    assert "is no name of a queue" in result.err or "is not UTF-8 text" in result.err
    assert "Traceback" not in result.err
    assert "\x1b" not in result.err
    assert rows.all("SELECT * FROM queue_pauses") == []


def test_a_reason_of_another_operator_cannot_control_the_terminal(run: Run, rows: Rows) -> None:
    rows.all("SELECT pause_queue('reports', E'\\x1b[31mann', E'x\\ny')")

    for words in (("queues",), ("queues", "pause", "reports"), ("status",), ("queues", "resume", "reports")):
        out = run(*words).out
        assert "\x1b" not in out
        assert "\ny" not in out


def test_a_pause_is_told_where_somebody_wonders_why_jobs_wait(run: Run, rows: Rows, steps: Steps) -> None:
    rows.all("SELECT pause_queue('coding', 'ann', 'why')")

    sent = run("jobs", "send", "--actor", "run_coding_session")
    assert sent.one_line().startswith("mobvibe: it waits: its queue is paused since ")
    assert sent.one_line().endswith(" by ann: why. To go on: mobvibe queues resume coding")

    status = run("status")
    assert "1 wait in queue 'coding', paused since" in status.out
    assert "where no live worker runs it" not in status.out
    assert json.loads(run("status", "--json").out)["pausedQueues"] == ["coding"]
    assert "1 wait in queue 'coding', paused since" in run("doctor").out

    run("queues", "resume", "coding")
    assert "where no live worker runs it" in run("status").out
    steps.add_worker()
    assert run("jobs", "send", "--actor", "run_coding_session").err == ""


def test_the_commands_work_on_the_schema_before(run: Run, rows: Rows) -> None:
    rows.add_job()
    rows.all("DROP TABLE queue_pauses; DROP FUNCTION pause_queue")

    assert json.loads(run("queues", "--json").out)[0]["paused_at"] is None
    assert json.loads(run("status", "--json").out)["pausedQueues"] == []
    refused = run("queues", "pause", "coding")
    assert (refused.code, refused.one_line()[:9]) == (4, "mobvibe: ")

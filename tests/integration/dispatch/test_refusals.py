"""Rows that Postgres refuses to change: they delay no others, are named once, and run when the cause is removed."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bridge.dispatch.recovery import Recovery
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps
from tests.support.waiting import eventually

CHECKED = "ALTER TABLE coding_jobs ADD CONSTRAINT low CHECK (priority < 5) NOT VALID"
UNCHECKED = "ALTER TABLE coding_jobs DROP CONSTRAINT low"
TRIGGER = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; END $$;
    CREATE {kind} TRIGGER refuse {when} UPDATE ON coding_jobs {deferred} FOR EACH ROW WHEN (NEW.priority >= 5)
    EXECUTE FUNCTION refuse()"""


def trigger(what: str, when: str = "BEFORE", *, kind: str = "", deferred: str = "") -> tuple[str, str]:
    """Statements that make Postgres refuse to change rows of high priority, and that undo it."""
    return TRIGGER.format(what=what, kind=kind, when=when, deferred=deferred), "DROP FUNCTION refuse CASCADE"


DEFERRED = trigger("RAISE 'not now'", "AFTER", kind="CONSTRAINT", deferred="DEFERRABLE INITIALLY DEFERRED")
CAUSES = [
    (CHECKED, UNCHECKED),
    DEFERRED,
    trigger("RAISE 'not now'"),
    trigger("RAISE 'not now' USING ERRCODE = 'MY001'", "AFTER"),
    # Errors that could come from our own code: a right, a table, an object's state, a lock, a bug.
    trigger("RAISE 'not yours' USING ERRCODE = '42501'"),
    trigger("PERFORM FROM nobody.knows"),
    trigger("PERFORM currval('public.coding_jobs_seq')"),
    trigger("RAISE 'held' USING ERRCODE = '55P03'", "AFTER"),
    trigger("RAISE 'conflict' USING ERRCODE = '40001'", "AFTER"),
    trigger("ASSERT false"),
    # No error at all.
    trigger("RETURN NULL"),
    trigger("RETURN OLD"),
]


def named_jobs(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """The jobs that the log named as refused."""
    return [
        getattr(record, "jobId", None)
        for record in caplog.records
        if "Postgres refuses to change its row" in record.message
    ]


@pytest.mark.parametrize(("cause", "end"), CAUSES)
@pytest.mark.parametrize("scheduled", [False, True])
def test_other_jobs_run_and_the_refused_one_runs_when_the_cause_is_removed(
    new_fleet: Callable[..., Fleet], rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str, scheduled: bool
) -> None:
    caplog.set_level(logging.INFO)
    of = {"actor": "double", "queue": "tests", "payload": '{"n": 1}'}
    refused = rows.add_job(**of, priority=9)
    if scheduled:
        rows.all("UPDATE coding_jobs SET run_at = now() + interval '1 s' WHERE id = %s", [refused])
    rows.all(cause.replace("%%", "%"))
    others = [rows.add_job(**of) for _ in range(3)]
    new_fleet(poll_interval_ms=200).start()

    eventually(lambda: all(rows.job(one)["status"] == "completed" for one in others), seconds=8)
    eventually(lambda: named_jobs(caplog) == [str(refused)], seconds=8)
    late = rows.add_job(**of)
    eventually(lambda: rows.job(late)["status"] == "completed", seconds=3)
    assert rows.job(refused)["status"] == "pending"
    assert named_jobs(caplog) == [str(refused)]

    rows.all(end)
    eventually(lambda: rows.job(refused)["status"] == "completed", seconds=12)
    assert named_jobs(caplog) == [str(refused)]


@pytest.mark.parametrize("what", ["RAISE 'not now'", "RETURN NULL", "RETURN OLD"])
@pytest.mark.parametrize("scheduled", [False, True])
def test_a_refused_job_is_retried_at_growing_intervals(
    new_fleet: Callable[..., Fleet], rows: Rows, what: str, scheduled: bool
) -> None:
    of = {"actor": "double", "queue": "tests", "payload": '{"n": 1}'}
    refused = rows.add_job(**of, priority=9)
    if scheduled:
        rows.all("UPDATE coding_jobs SET run_at = clock_timestamp() + interval '100 ms' WHERE id = %s", [refused])
    rows.all("CREATE SEQUENCE tries")  # a sequence, because a rollback does not undo it
    rows.all(trigger(f"PERFORM nextval('public.tries'); {what}")[0])
    new_fleet(poll_interval_ms=100).start()
    eventually(lambda: rows.value("SELECT is_called FROM tries"))

    until = time.monotonic() + 5
    while time.monotonic() < until:
        other = rows.add_job(**of)
        eventually(
            partial(rows.value, "SELECT status = 'completed' FROM coding_jobs WHERE id = %s", [other]), seconds=3
        )

    assert (
        rows.value("SELECT last_value FROM tries") < 12
    )  # each try fires it twice: with all jobs, and with each by itself


def test_a_refused_suspect_delays_no_other(steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    steps.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    rows.all("UPDATE coding_jobs SET crashes = 2")
    rows.all(CHECKED)

    assert [claim.job_id for claim in steps.queue.claim_suspects("bridge", lease=LEASE)] == [other]
    rows.all("UPDATE coding_jobs SET status = 'completed' WHERE id = %s", [other])
    assert steps.queue.claim_suspects("bridge", lease=LEASE) == []
    assert named_jobs(caplog) == [str(refused)]


def test_a_job_that_cannot_be_moved_delays_no_move_and_no_recovery(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    refused, other = rows.add_job(actor="build_report", priority=9), rows.add_job(actor="build_report")
    steps.add_worker(actors={"build_report": {"queue": "reports", "max_retries": 1}})
    rows.all(CHECKED)

    Recovery(steps.link, lambda: None, lease_seconds=30).step()

    assert (rows.job(refused)["queue"], rows.job(other)["queue"]) == ("coding", "reports")
    assert named_jobs(caplog) == [str(refused)]


def test_a_running_job_that_cannot_be_taken_back_is_named_once(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    worker = steps.add_worker()
    refused = rows.add_job(priority=9)
    steps.started(worker)
    rows.all(CHECKED)
    steps.book.stop(worker)

    assert steps.reclaim() == steps.reclaim() == {}
    assert named_jobs(caplog) == [str(refused)]

    rows.all(UNCHECKED)
    eventually(lambda: set(steps.reclaim()) == {refused}, seconds=3)

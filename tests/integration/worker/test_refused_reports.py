"""A host's trigger refuses the report of an attempt: the job ran, and does not run again because of that."""

import logging
import time
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.job import Completed, Failed, Released
from bridge.postgres.attempts import AttemptKey
from bridge.settings import Settings
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.ending import Ending
from bridge.worker.process import WorkerProcess
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import CODING, Steps
from tests.support.waiting import eventually

LEASE_MS = 2500
NO_COMPLETED = "IF NEW.status = 'completed' THEN {} END IF;"
EVERY_ENDING = "IF OLD.status = 'processing' AND NEW.status <> 'processing' THEN RAISE 'no end'; END IF;"


@pytest.fixture(autouse=True)
def _again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.worker.refused_reports._FIRST_SECONDS", 0.5)
    monkeypatch.setattr("bridge.worker.refused_reports._MOST_SECONDS", 1.0)


def refuse(rows: Rows, what: str) -> None:
    """Make Postgres refuse reports of jobs with the priority 7."""
    rows.all(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF OLD.priority = 7 THEN {what} END IF; RETURN NEW; END $$"
    )
    rows.all("CREATE TRIGGER refuse BEFORE UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION refuse()")


def lines(caplog: pytest.LogCaptureFixture, text: str, job_id: UUID) -> list[logging.LogRecord]:
    return [one for one in caplog.records if text in one.message and getattr(one, "jobId", "") == str(job_id)]


@pytest.mark.parametrize(
    ("actor", "what", "reason", "outcome"),
    [
        ("double", "IF NEW.status = 'completed' THEN RETURN NULL; END IF;", "suppressed", "completed"),
        ("explode", "IF NEW.status = 'failed' THEN RAISE 'no failed'; END IF;", "no failed", "failed"),
        ("explode", "IF NEW.status = 'failed' THEN RETURN NULL; END IF;", "suppressed", "failed"),
        ("explode", "IF NEW.error_message IS NOT NULL THEN RAISE 'no text'; END IF;", "no text", "failed"),
        ("explode", EVERY_ENDING, "no end", "failed"),
        # Classes of a host's own, as PostgREST has some.
        ("explode", EVERY_ENDING.replace("'no end'", "'no end' USING ERRCODE = 'PT409'"), "no end", "failed"),
        ("explode", EVERY_ENDING.replace("'no end'", "'no end' USING ERRCODE = 'MY001'"), "no end", "failed"),
        # Errors that look like those of the whole database, but come from this row's trigger. The result is fine.
        ("double", NO_COMPLETED.format("RAISE insufficient_privilege;"), "insufficient_privilege", "completed"),
        ("double", NO_COMPLETED.format("PERFORM no_such_function();"), "no_such_function", "completed"),
        ("double", NO_COMPLETED.format("PERFORM FROM no_such_table;"), "no_such_table", "completed"),
        ("double", NO_COMPLETED.format("PERFORM no_such_column FROM public.workers;"), "no_such_column", "completed"),
        ("double", NO_COMPLETED.format("EXECUTE 'nonsense';"), "nonsense", "completed"),
        ("double", NO_COMPLETED.format("RAISE internal_error;"), "internal_error", "completed"),
        ("double", NO_COMPLETED.format("RAISE connection_exception;"), "connection_exception", "completed"),
        ("double", NO_COMPLETED.format("RAISE feature_not_supported;"), "feature_not_supported", "completed"),
        ("explode", EVERY_ENDING.replace("'no end'", "insufficient_privilege"), "insufficient_privilege", "failed"),
    ],
)
def test_a_refused_report_waits_and_its_job_does_not_run_again(
    new_fleet: Callable[..., Fleet],
    rows: Rows,
    caplog: pytest.LogCaptureFixture,
    actor: str,
    what: str,
    reason: str,
    outcome: str,
) -> None:
    refuse(rows, what)
    fleet = new_fleet(lease_ms=LEASE_MS)
    fleet.start_worker(threads=1)
    fleet.start_bridge()
    job_id = rows.add_job(actor=actor, queue="tests", payload={"n": 1}, priority=7, max_retries=1)
    eventually(lambda: lines(caplog, "Report kept", job_id), what="the refusal")

    others = [rows.add_job(actor="double", queue="tests", payload={"n": 1}) for _ in range(3)]
    eventually(lambda: {rows.status(other) for other in others} == {"completed"}, what="other jobs in the only slot")
    eventually(
        lambda: rows.value("SELECT started_at < clock_timestamp() - interval '5 s' FROM coding_jobs WHERE priority = 7")
    )

    assert (rows.status(job_id), rows.outcomes(job_id), fleet.actor_log.starts(job_id)) == ("processing", [], 1)
    (line,) = lines(caplog, "Report kept", job_id)
    assert reason in str(vars(line)["reason"])
    assert len(lines(caplog, "was refused", job_id)) <= 1
    assert not lines(caplog, "never run", job_id)

    rows.all("DROP TRIGGER refuse ON coding_jobs")
    eventually(lambda: rows.outcomes(job_id) == [outcome], what="the report that was kept")
    assert (rows.status(job_id), fleet.actor_log.starts(job_id)) == (outcome, 1)
    eventually(lambda: rows.value("SELECT slots FROM workers") == 1, what="the slots of the worker's own")


def test_a_row_that_meets_a_missing_right_delays_no_report_and_is_retried_at_growing_intervals(
    new_fleet: Callable[..., Fleet], rows: Rows, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.worker.refused_reports._MOST_SECONDS", 60.0)
    rows.all("CREATE SEQUENCE tries")  # counts, also in transactions that are rolled back
    refuse(rows, NO_COMPLETED.format("PERFORM nextval('tries'); RAISE insufficient_privilege;"))
    fleet = new_fleet(lease_ms=LEASE_MS).start()
    job_id = rows.add_job(actor="double", queue="tests", payload={"n": 1}, priority=7)
    others = [rows.add_job(actor="double", queue="tests", payload={"n": 1}) for _ in range(20)]

    eventually(lambda: {rows.status(other) for other in others} == {"completed"}, what="the reports of the others")
    eventually(lambda: lines(caplog, "Report kept", job_id), what="the refusal")

    since = time.monotonic()
    eventually(lambda: time.monotonic() > since + 4, what="tries to count")
    # In the group, by itself, and after 0.5, 1 and 2 s.
    assert rows.value("SELECT last_value FROM tries") <= 6
    assert not lines(caplog, "was refused", job_id)
    assert (rows.status(job_id), fleet.actor_log.starts(job_id)) == ("processing", 1)


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ("FUNCTION complete_jobs RENAME TO away", "FUNCTION away RENAME TO complete_jobs"),
        ("TABLE job_attempts RENAME TO away", "TABLE away RENAME TO job_attempts"),
        ("TABLE coding_jobs RENAME COLUMN result TO away", "TABLE coding_jobs RENAME COLUMN away TO result"),
    ],
)
def test_during_a_migration_all_reports_wait_and_none_is_lost(
    settings: Settings, steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, away: str, back: str
) -> None:
    job_ids = [rows.add_job() for _ in range(5)]
    process = WorkerProcess(settings, WorkerAbilities(5, ["coding"], CODING), lambda _: None)
    process.open()
    try:
        eventually(lambda: rows.value("SELECT count(*) FROM workers") == 1)
        keys = [AttemptKey(claim.job_id, claim.fence, uuid4()) for claim in steps.claim()]
        started = process.start(keys)[0].values()
        rows.all(f"ALTER {away}")
        for run in started:
            process.end(run, Ending(run.key, Completed(None), run))
        eventually(lambda: "Postgres does not take the reports, they wait" in caplog.text)
        rows.all(f"ALTER {back}")

        eventually(lambda: [rows.outcomes(job_id) for job_id in job_ids] == [["completed"]] * 5)
    finally:
        process.close()
    assert "Report kept" not in caplog.text


def test_a_failure_that_stays_refused_spends_its_retries_and_no_more(
    new_fleet: Callable[..., Fleet], rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(rows, "IF NEW.status = 'failed' THEN RAISE 'no failed'; END IF;")
    fleet = new_fleet(lease_ms=LEASE_MS).start()
    job_id = rows.add_job(actor="explode", queue="tests", priority=7, max_retries=2)

    eventually(lambda: lines(caplog, "Report kept", job_id), seconds=20, what="the last failure")
    kept_at = time.monotonic()
    eventually(lambda: time.monotonic() > kept_at + 2 * LEASE_MS / 1000, what="time for a further run")

    assert (rows.outcomes(job_id), fleet.actor_log.starts(job_id)) == (["failed"], 2)


def test_a_kept_report_that_meets_a_lock_at_the_end_is_not_logged_as_refused(
    settings: Settings, steps: Steps, rows: Rows, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(rows, EVERY_ENDING)
    job_id = rows.add_job(priority=7)
    process = WorkerProcess(settings, WorkerAbilities(1, ["coding"], CODING), lambda _: None)
    process.open()
    with psycopg.connect(dsn) as somebody:
        try:
            claim = steps.claim_one()
            (run,) = process.start([AttemptKey(claim.job_id, claim.fence, uuid4())])[0].values()
            process.end(run, Ending(run.key, Failed("it broke"), run))
            eventually(lambda: lines(caplog, "Report kept", job_id), what="the refusal")
            somebody.execute("SELECT FROM coding_jobs FOR UPDATE")
        finally:
            process.close()

    (line,) = lines(caplog, "Report given up", job_id)
    assert "refused it until the end" not in line.getMessage()
    assert "could not be written again in time" in line.getMessage()


@pytest.mark.parametrize("report", [Failed("it broke"), Released()])
def test_a_worker_ends_in_time_and_attempts_of_kept_reports_have_crashed(
    settings: Settings, steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, report: Failed | Released
) -> None:
    refuse(rows, EVERY_ENDING)
    job_id = rows.add_job(priority=7)
    process = WorkerProcess(settings, WorkerAbilities(1, ["coding"], CODING), lambda _: None)
    process.open()
    try:
        claim = steps.claim_one()
        (run,) = process.start([AttemptKey(claim.job_id, claim.fence, uuid4())])[0].values()
        process.end(run, Ending(run.key, report, run))
        eventually(lambda: lines(caplog, "Report kept", job_id), what="the refusal")
        began = time.monotonic()
    finally:
        process.close()

    assert time.monotonic() - began < 3
    assert len(lines(caplog, "Report given up", job_id)) == 1
    rows.all("DROP TRIGGER refuse ON coding_jobs")
    steps.reclaim()
    assert rows.outcomes(job_id) == ["crashed"]
    assert rows.job(job_id)["retry_count"] == 1

"""The bridge acts on bulk operations: soon after they start, in the midst of a kill, and beside other bridges."""

import logging
import subprocess
import sys
import time
from functools import partial

import pytest

from bridge.dispatch.bulk import BulkOperations
from bridge.dispatch.upkeep import Upkeep
from bridge.postgres.link import Link
from tests.support.bulk import ACTED, add_failed, shown, started
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

RUNNER = """
import sys
from bridge.dispatch import bulk
from bridge.postgres.job_queue import JobQueue
bulk._JOBS_MOST = 25
operations = bulk.BulkOperations(JobQueue.connect(sys.argv[1]))
while True:
    operations.step()
"""


def test_a_step_says_when_the_next_batch_is_due(steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    operations = BulkOperations(steps.queue)
    assert operations.step() is None
    add_failed(rows, 3)
    operation = started(steps.link, "retry", "status:failed", rate=2)

    assert 0.5 < (operations.step() or 0) <= 1
    assert operations.step() == 1.0, "nothing is due: it asks again in a second"
    rows.all("UPDATE bulk_operations SET next_batch_at = now()")
    assert operations.step() is None

    assert shown(steps.link, operation)["done"] == 3
    assert caplog.messages == ["Bulk operation ended"]


def test_the_first_refusal_of_an_operation_is_one_line(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    add_failed(rows, 3)
    rows.all("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION refuse()""")
    started(steps.link, "retry", "status:failed")

    while BulkOperations(steps.queue).step() is not None:
        pass

    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "skipped" in record.getMessage()
    assert record.reason == "not today"  # type: ignore[attr-defined]


def test_a_schema_without_bulk_operations_has_none_under_way(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.all("DROP FUNCTION run_bulk_batch")

    assert BulkOperations(steps.queue).step() is None
    Upkeep(steps.queue, retention=None).step()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_upkeep_goes_on_at_once_while_an_operation_is_under_way(steps: Steps, rows: Rows) -> None:
    add_failed(rows, 30)
    operation = started(steps.link, "retry", "status:failed")
    rows.all("UPDATE bulk_operations SET jobs_per_second = 10")
    upkeep = Upkeep(steps.queue, retention=None)

    assert upkeep.step() <= 1
    assert shown(steps.link, operation)["done"] == 10


def test_a_batch_that_fails_leaves_the_rest_of_the_upkeep_alone_and_does_not_spin(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    add_failed(rows, 3)
    operation = started(steps.link, "retry", "status:failed")
    rows.all("ALTER TABLE job_audit RENAME TO hidden")
    upkeep = Upkeep(steps.queue, retention=None)

    rests = [upkeep.step() for _ in range(3)]

    assert min(rests) >= 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "Upkeep cannot do this now (refused): act on the jobs of a bulk operation"
    ]
    rows.all("ALTER TABLE hidden RENAME TO job_audit")
    upkeep.step()
    assert shown(steps.link, operation)["done"] == 3


def test_a_running_bridge_begins_at_once_and_its_workers_run_the_jobs(fleet: Fleet, rows: Rows, link: Link) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, completed_at, error_message, queue, actor, payload)"
        " SELECT 'failed', now(), 'boom', 'tests', 'double', '{\"n\": 2}' FROM generate_series(1, 40)"
    )
    began = time.monotonic()
    operation = started(link, "retry", "queue:tests error:boom")

    eventually(lambda: shown(link, operation)["state"] == "done", seconds=5)
    assert time.monotonic() - began < 5, "the start wakes it, it does not wait for its next round in ten seconds"
    eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'") == 40, seconds=20)
    assert all(fleet.actor_log.starts(row["id"]) == 1 for row in rows.all("SELECT id FROM coding_jobs"))


def test_a_bridge_that_is_killed_in_the_midst_leaves_no_job_out_and_none_doubled(
    rows: Rows, link: Link, dsn: str
) -> None:
    add_failed(rows, 3000)
    operation = started(link, "replay", "status:failed")
    for killed_at in (1, 700, 1400, 3000):
        with subprocess.Popen([sys.executable, "-c", RUNNER, dsn]) as runner:
            try:
                eventually(partial(_has_done, link, operation, killed_at), seconds=30)
            finally:
                runner.kill()

    assert len(rows.all(ACTED, [operation])) == 3000
    assert rows.value("SELECT count(DISTINCT job_id) FROM job_audit") == 3000
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'pending'") == 3000
    assert (shown(link, operation)["total"], shown(link, operation)["done"]) == (3000, 3000)


def _has_done(link: Link, operation: int, jobs: int) -> bool:
    return bool(shown(link, operation)["done"] >= jobs)

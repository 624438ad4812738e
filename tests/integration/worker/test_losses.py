"""What mobvibe worker tells the database when it has seen a worker process end."""

import os
import subprocess
import sys

import pytest

from bridge.worker import losses
from bridge.worker.crash_record import Crash
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_end_of_a_worker_and_its_reason_are_reported(
    steps: Steps, rows: Rows, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)

    losses.report(dsn, Crash(worker, ended_process(), job_id, "Aborted"))

    eventually(lambda: rows.value("SELECT stop_reason FROM workers") == "lost")
    assert rows.value("SELECT ended_by FROM workers") == job_id
    (line,) = [record for record in caplog.records if "A job ended its worker process" in record.getMessage()]
    assert (vars(line)["jobId"], vars(line)["reason"]) == (str(job_id), "Aborted")


def test_a_worker_whose_parent_alone_has_ended_is_not_lost(
    steps: Steps, rows: Rows, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a process was started")

    worker = steps.add_worker()
    monkeypatch.setattr("multiprocessing.get_context", fail)

    losses.report(dsn, Crash(worker, os.getpid(), None, None))

    assert rows.value("SELECT stop_reason FROM workers") is None


def test_without_a_database_the_report_is_left_out(steps: Steps) -> None:
    worker = steps.add_worker()

    losses.report("postgresql://127.0.0.1:1/none", Crash(worker, ended_process(), None, None))

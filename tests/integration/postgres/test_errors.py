"""An error of Postgres is either caused by the data, and final, or temporary."""

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from bridge.errors import (
    NoConnectionFreeError,
    PostgresBusyError,
    PostgresRefusedError,
    PostgresSetupError,
    PostgresUnavailableError,
    ReadOnlyError,
    UnfitSessionError,
)
from bridge.job import Completed
from bridge.postgres.attempts import Attempts
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.link import Link
from bridge.worker.ending import Ending
from bridge.worker.reports import Reports
from bridge.worker.runs import Runs
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


def prepare_at_once(link: Link) -> None:
    link.connection.prepare_threshold = 0


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("22003", PostgresRefusedError),
        ("23514", PostgresRefusedError),
        ("54000", PostgresRefusedError),
        ("P0001", PostgresRefusedError),
        ("PT409", PostgresRefusedError),
        ("MY001", PostgresRefusedError),
        ("21000", PostgresRefusedError),
        ("39P01", PostgresRefusedError),
        ("0A000", UnfitSessionError),
        ("25006", ReadOnlyError),
        ("26000", UnfitSessionError),
        ("42P05", UnfitSessionError),
        ("53300", NoConnectionFreeError),
        ("57P03", PostgresUnavailableError),
        ("40001", PostgresBusyError),
        ("55P03", PostgresBusyError),
        ("57014", PostgresBusyError),
        ("42601", PostgresSetupError),
        ("55000", PostgresSetupError),
        ("XX000", PostgresBusyError),
    ],
)
def test_only_errors_that_the_data_can_cause_are_refusals(link: Link, state: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="so it is") as raised, link.transaction() as inside:
        inside.execute(f"DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '{state}'; END $$")

    assert raised.type is kind
    assert link.call("ping")


def test_a_full_notification_queue_is_not_caused_by_the_data() -> None:
    class QueueIsFullError(psycopg.errors.ProgramLimitExceeded):
        diag: Any = SimpleNamespace(source_file="async.c")

    with pytest.raises(PostgresBusyError), translate_postgres_errors():
        raise QueueIsFullError("too many notifications in the NOTIFY queue")


def test_a_completed_job_stays_completed_behind_a_pooler_that_changes_sessions(
    steps: Steps, rows: Rows, link: Link
) -> None:
    worker = steps.add_worker()
    reports = Reports(Attempts(link), Runs(), lambda _: None)
    prepare_at_once(link)
    reports.open()
    for _ in range(2):
        job_id = rows.add_job()
        reports.submit(Ending(steps.started(worker), Completed('{"done": 1}')))
        eventually(lambda: rows.job(job_id)["status"] != "processing")  # noqa: B023 -- called at once
        # The next session does not have the statements that were prepared in the previous one.
        link.connection.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")

    job = rows.job(job_id)
    assert (job["status"], job["result"], job["retry_count"]) == ("completed", {"done": 1}, 0)
    assert link.connection.prepare_threshold is None, "it would happen again and again"
    reports.close(2)

"""Jobs of pg_cron that take running jobs away are found. Its table is made here: the extension is not installed."""

import pytest
from pydantic import SecretStr

from bridge.cli.doctor import examine, preview_migration
from bridge.settings import Settings
from tests.support.limited_role import LimitedRole
from tests.support.rows import Rows

PG_CRON = """
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobid bigint PRIMARY KEY, schedule text NOT NULL, command text NOT NULL,
    nodename text NOT NULL DEFAULT 'localhost', nodeport integer NOT NULL DEFAULT 5432,
    database text NOT NULL DEFAULT current_database(), username text NOT NULL DEFAULT current_user,
    active boolean NOT NULL DEFAULT true, jobname text);
"""
# As the Node worker's manual has it.
RESET = """
UPDATE coding_jobs
SET status = 'pending', started_at = NULL
WHERE status = 'processing'
AND started_at < NOW() - INTERVAL '5 minutes';
"""


def schedule(rows: Rows, command: str, **columns: object) -> None:
    names = ", ".join(["jobid", "schedule", "command", *columns])
    marks = ", ".join(["%s"] * (3 + len(columns)))
    rows.all(f"INSERT INTO cron.job ({names}) VALUES ({marks})", [7, "*/5 * * * *", command, *columns.values()])


def test_a_job_that_resets_stuck_jobs_is_named_with_the_statement_that_removes_it(
    rows: Rows, settings: Settings
) -> None:
    rows.all(PG_CRON)
    schedule(rows, RESET)

    for findings in (examine(settings), preview_migration(settings)):
        (found,) = [one for one in findings if one.check == "stuck jobs"]
        assert found.state == "warn"
        assert found.found.startswith("pg_cron job 7 (*/5 * * * *) takes running jobs away: UPDATE coding_jobs SET")
        assert found.fix.startswith("SELECT cron.unschedule(7)")


@pytest.mark.parametrize(
    ("command", "columns"),
    [
        (RESET, {"active": False}),
        (RESET, {"database": "another"}),
        ("DELETE FROM coding_jobs WHERE status = 'completed'", {}),
        ("UPDATE other_jobs SET status = 'pending' WHERE status = 'processing'", {}),
    ],
)
def test_other_jobs_are_left_alone(rows: Rows, settings: Settings, command: str, columns: dict[str, object]) -> None:
    rows.all(PG_CRON)
    schedule(rows, command, **columns)

    assert [one for one in preview_migration(settings) if one.check == "stuck jobs"] == []


def test_a_role_that_may_not_read_the_jobs_gets_the_other_findings(
    rows: Rows, settings: Settings, role: LimitedRole
) -> None:
    rows.all(PG_CRON)
    schedule(rows, RESET)
    there = settings.model_copy(update={"database_url": SecretStr(role.dsn)})

    assert {one.check for one in preview_migration(there)} == {"in the way"}, "it owns no table"

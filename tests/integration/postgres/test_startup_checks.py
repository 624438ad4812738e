"""With which databases a process starts."""

import pytest

from bridge.errors import SchemaError
from bridge.postgres.startup_checks import SCHEMA_VERSION, check_database
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_a_database_that_is_not_migrated_is_refused_in_one_line(empty_dsn: str) -> None:
    with pytest.raises(SchemaError, match="not set up for the bridge. Run: mobvibe migrate up"):
        check_database(empty_dsn)


@pytest.mark.parametrize(
    ("version", "message"), [(1, "has schema 1, this version needs"), (999, "has schema 999, newer than this version")]
)
def test_an_older_or_newer_schema_is_refused_in_one_line(dsn: str, rows: Rows, version: int, message: str) -> None:
    rows.all(f"CREATE OR REPLACE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT {version}'")

    with pytest.raises(SchemaError, match=message):
        check_database(dsn)


@pytest.mark.parametrize("by", [-1, 1])
def test_a_schema_one_version_away_is_accepted_with_one_warning(
    dsn: str, rows: Rows, steps: Steps, by: int, caplog: pytest.LogCaptureFixture
) -> None:
    version = SCHEMA_VERSION + by
    rows.all(f"CREATE OR REPLACE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT {version}'")
    if by < 0:  # what came with this version
        rows.all("DROP FUNCTION cancel_attempts")

    check_database(dsn)

    assert [record.getMessage() for record in caplog.records] == [
        f"The database has schema {version}, this version is made for {SCHEMA_VERSION} and works with it: "
        + ("run mobvibe migrate up" if by < 0 else "finish the roll-out")
    ]
    rows.add_job()
    held = steps.started()
    assert steps.call_off(held)
    assert rows.status(held.job_id) in ("cancelled", "failed")
    assert steps.link.call("show_job", {"id": held.job_id})


def test_a_schema_two_versions_away_is_refused(dsn: str, rows: Rows) -> None:
    for version in (SCHEMA_VERSION - 2, SCHEMA_VERSION + 2):
        rows.all(
            f"CREATE OR REPLACE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT {version}'"
        )
        with pytest.raises(SchemaError, match=f"The database has schema {version}"):
            check_database(dsn)

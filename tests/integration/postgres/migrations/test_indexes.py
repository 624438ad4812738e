"""Indexes made and dropped beside the traffic."""

import psycopg
import pytest

from bridge.postgres.connect import connect
from bridge.postgres.migrations import MigrationError, migrate_up
from bridge.postgres.migrations.indexes import drop_index
from tests.support.legacy import fill
from tests.support.rows import Rows


def test_an_invalid_index_is_rebuilt(empty_dsn: str, old: Rows) -> None:
    fill(old, 10)
    migrate_up(empty_dsn)
    old.all("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_ready'::regclass")
    old.all("CREATE OR REPLACE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT 11'")

    migrate_up(empty_dsn)

    assert old.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'jobs_ready'::regclass") is True


def test_a_transaction_that_stays_open_is_named_with_the_command_to_repeat(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.postgres.migrations.indexes._INDEX_LOCK_TIMEOUT", "100ms")
    with psycopg.connect(dsn, application_name="their app") as other, connect(dsn, "migrate") as connection:
        other.execute("LOCK TABLE coding_jobs IN ROW EXCLUSIVE MODE")

        with pytest.raises(MigrationError, match=r"jobs_ready .*\(their app, .*run again: mobvibe migrate down$"):
            drop_index(connection, "jobs_ready", again="mobvibe migrate down")

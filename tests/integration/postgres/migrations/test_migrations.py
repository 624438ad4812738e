"""Migrations: from nothing, from an old MobVibe database, twice, and by other hands than ours."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.dev.embedded.postgres import find_programs
from bridge.errors import SchemaError
from bridge.postgres.attempts import Event
from bridge.postgres.migrations import MigrationError, migrate_up, migration_files, migration_states
from bridge.postgres.startup_checks import SCHEMA_VERSION, check_database
from tests.support import legacy
from tests.support.hands import Hands
from tests.support.rows import Rows


@pytest.fixture
def empty(empty_dsn: str) -> Iterator[Rows]:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        yield Rows(connection)


def add_legacy_session(rows: Rows) -> UUID:
    project = rows.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
    return rows.add_session(
        user_id=uuid4(), project_id=project, initial_prompt="p", expires_at="2999-01-01", status="active"
    )


def test_every_file_is_applied_in_order_and_once(empty_dsn: str) -> None:
    names = [file.stem for file in migration_files()]
    assert not any(state.applied for state in migration_states(empty_dsn))

    assert migrate_up(empty_dsn) == names
    assert migrate_up(empty_dsn) == []

    assert [(state.name, state.applied) for state in migration_states(empty_dsn)] == [(name, True) for name in names]
    check_database(empty_dsn)


def test_the_last_file_says_the_version() -> None:
    assert f"AS $$ SELECT {SCHEMA_VERSION} $$" in migration_files()[-1].read_text()


def test_the_files_apply_with_psql_and_may_be_applied_again(empty_dsn: str) -> None:
    for _ in range(2):
        for file in migration_files():
            command = [str(find_programs() / "psql"), empty_dsn, "-v", "ON_ERROR_STOP=1", "-q", "-1", "-f", str(file)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stderr

    check_database(empty_dsn)
    assert all(state.applied for state in migration_states(empty_dsn))
    assert migrate_up(empty_dsn) == []


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


def test_a_table_of_somebody_else_is_not_touched(empty_dsn: str, empty: Rows) -> None:
    empty.all("CREATE TABLE workers (name text, salary numeric)")

    with pytest.raises(MigrationError, match=r"Nothing was changed. In the way: public.workers exists already"):
        migrate_up(empty_dsn)

    assert empty.value("SELECT to_regclass('public.coding_jobs')") is None


@pytest.mark.parametrize(("json_column", "checked"), [("data", True), ("event_data", False)])
def test_an_old_database_is_adopted_in_place(empty_dsn: str, empty: Rows, json_column: str, checked: bool) -> None:
    empty.all(legacy.SCHEMA + legacy.session_events(json_column, checked=checked))
    session_id = add_legacy_session(empty)

    def old(**columns: Any) -> UUID:
        return empty.add_job(session_id=session_id, prompt="p", **columns)

    younger = old(created_at="2026-01-02")
    older = old(created_at="2026-01-01")
    lost = old(status=None, priority=None, retry_count=None, max_retries=None, created_at="2026-01-03")
    done = old(status="completed", completed_at="2026-01-01")
    forgotten = old(status=None, completed_at="2026-01-01", error_message="boom")
    held = old(status="processing", started_at="2026-01-01")

    migrate_up(empty_dsn)

    row = empty.job(lost)
    assert (row["status"], row["priority"], row["retry_count"], row["max_retries"]) == ("pending", 0, 0, 3)
    assert empty.job(done)["status"] == "completed"
    assert empty.job(forgotten)["status"] == "failed"
    row = empty.job(held)
    assert (row["status"], row["claimed_by"], row["fence"]) == ("processing", "claim_next_job", 1)

    hands = Hands(empty_dsn, empty)
    worker = hands.add_worker()
    claims = hands.claim()
    assert [claim.job_id for claim in claims] == [older, younger, lost]
    attempt = hands.start(worker, claims[0])
    assert attempt is not None
    assert hands.book.add_events([Event(attempt, "state_changed", json.dumps({"to": "active"}))]) == 1
    assert empty.value(f"SELECT {json_column} FROM session_events") == {"to": "active"}
    assert empty.value("SELECT data FROM get_session_events(%s)", [session_id]) == {"to": "active"}
    assert hands.complete(attempt)
    empty.all("SELECT complete_job(%s)", [held])
    assert empty.job(held)["status"] == "completed"
    hands.close()
    assert migrate_up(empty_dsn) == []


def test_the_host_s_triggers_go_on_working_after_adoption(empty_dsn: str, empty: Rows) -> None:
    empty.all(legacy.SCHEMA + legacy.session_events("data", checked=True))
    migrate_up(empty_dsn)
    session_id = add_legacy_session(empty)
    job_id = empty.add_job(session_id=session_id, prompt="p", max_retries=1)
    empty.all("SELECT * FROM claim_next_job()")

    assert empty.value("SELECT fail_job(%s, 'boom')", [job_id]) is False

    assert empty.session(session_id)["status"] == "failed"
    assert empty.value("SELECT count(*) FROM session_usage") == 1


def test_statuses_that_no_job_can_have_are_named_before_anything_is_changed(empty_dsn: str, empty: Rows) -> None:
    empty.all(legacy.SCHEMA + legacy.session_events("data", checked=False))
    empty.all("ALTER TABLE coding_jobs DROP CONSTRAINT coding_jobs_status_check")
    empty.add_job(session_id=add_legacy_session(empty), prompt="p", status="queued")

    with pytest.raises(MigrationError, match="rows with status 'queued', which no job can have .→ correct them first"):
        migrate_up(empty_dsn)

    empty.all("UPDATE coding_jobs SET status = 'failed' WHERE status = 'queued'")
    assert migrate_up(empty_dsn)


def test_times_and_counts_that_nobody_can_read_are_repaired(empty_dsn: str, empty: Rows) -> None:
    empty.all(legacy.SCHEMA + legacy.session_events("data", checked=False))
    session = add_legacy_session(empty)
    for moment in ("infinity", "-infinity", "292000-01-01"):
        empty.add_job(session_id=session, prompt="p", created_at=moment, started_at=moment, retry_count=2**31 - 1)

    migrate_up(empty_dsn)

    years = [
        (row["created_at"].year, row["retry_count"])
        for row in empty.all("SELECT * FROM coding_jobs ORDER BY 2, created_at")
    ]
    assert years == [(1, 10**9), (9999, 10**9), (9999, 10**9)]


def test_null_is_refused_where_it_once_lost_a_job(empty_dsn: str, empty: Rows) -> None:
    empty.all(legacy.SCHEMA + legacy.session_events("data", checked=False))
    migrate_up(empty_dsn)
    session_id = add_legacy_session(empty)

    for column in ("status", "priority", "retry_count", "max_retries"):
        with pytest.raises(psycopg.errors.NotNullViolation):
            empty.add_job(session_id=session_id, prompt="p", **{column: None})
    for columns in (
        {"status": "paused"}, {"retry_count": -1}, {"retry_count": 2**31 - 1}, {"max_retries": -1}, {"actor": ""},
        {"queue": "a b"}, {"fence": -1}, {"fence": 2**63 - 1}, {"created_at": "infinity"}, {"created_at": "-infinity"},
        {"created_at": "292000-01-01"}, {"run_at": "infinity"}, {"completed_at": "0044-03-15 BC"},
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.CheckViolation):
            empty.add_job(session_id=session_id, prompt="p", **columns)


@pytest.mark.parametrize("by", [-1, 1])
def test_a_schema_one_version_away_serves_with_one_warning(
    dsn: str, rows: Rows, hands: Hands, by: int, caplog: pytest.LogCaptureFixture
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
    held = hands.started()
    assert hands.call_off(held)
    assert rows.status(held.job_id) in ("cancelled", "failed")
    assert hands.link.call("show_job", {"id": held.job_id})


def test_a_schema_two_versions_away_does_not(dsn: str, rows: Rows) -> None:
    for version in (SCHEMA_VERSION - 2, SCHEMA_VERSION + 2):
        rows.all(
            f"CREATE OR REPLACE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT {version}'"
        )
        with pytest.raises(SchemaError, match=f"The database has schema {version}"):
            check_database(dsn)

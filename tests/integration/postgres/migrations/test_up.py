"""Migrations of an empty database, of an old MobVibe database, and beside objects of others."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.postgres.attempts import Event
from bridge.postgres.migrations import MigrationError, migrate_up
from tests.support import legacy
from tests.support.rows import Rows
from tests.support.steps import Steps


@pytest.fixture
def empty(empty_dsn: str) -> Iterator[Rows]:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        yield Rows(connection)


def add_legacy_session(rows: Rows) -> UUID:
    project = rows.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
    return rows.add_session(
        user_id=uuid4(), project_id=project, initial_prompt="p", expires_at="2999-01-01", status="active"
    )


def test_a_table_of_another_application_is_not_touched(empty_dsn: str, empty: Rows) -> None:
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

    steps = Steps(empty_dsn, empty)
    worker = steps.add_worker()
    claims = steps.claim()
    assert [claim.job_id for claim in claims] == [older, younger, lost]
    attempt = steps.start(worker, claims[0])
    assert attempt is not None
    assert steps.book.add_events([Event(attempt, "state_changed", json.dumps({"to": "active"}))]) == 1
    assert empty.value(f"SELECT {json_column} FROM session_events") == {"to": "active"}
    assert empty.value("SELECT data FROM get_session_events(%s)", [session_id]) == {"to": "active"}
    assert steps.complete(attempt)
    empty.all("SELECT complete_job(%s)", [held])
    assert empty.job(held)["status"] == "completed"
    steps.close()
    assert migrate_up(empty_dsn) == []


def test_the_hosts_triggers_still_work_after_adoption(empty_dsn: str, empty: Rows) -> None:
    empty.all(legacy.SCHEMA + legacy.session_events("data", checked=True))
    migrate_up(empty_dsn)
    session_id = add_legacy_session(empty)
    job_id = empty.add_job(session_id=session_id, prompt="p", max_retries=1)
    empty.all("SELECT * FROM claim_next_job()")

    assert empty.value("SELECT fail_job(%s, 'boom')", [job_id]) is False

    assert empty.session(session_id)["status"] == "failed"
    assert empty.value("SELECT count(*) FROM session_usage") == 1


def test_unknown_statuses_are_named_before_the_first_change(empty_dsn: str, empty: Rows) -> None:
    empty.all(legacy.SCHEMA + legacy.session_events("data", checked=False))
    empty.all("ALTER TABLE coding_jobs DROP CONSTRAINT coding_jobs_status_check")
    empty.add_job(session_id=add_legacy_session(empty), prompt="p", status="queued")

    with pytest.raises(MigrationError, match="rows with status 'queued', which no job can have .→ correct them first"):
        migrate_up(empty_dsn)

    empty.all("UPDATE coding_jobs SET status = 'failed' WHERE status = 'queued'")
    assert migrate_up(empty_dsn)


def test_impossible_times_and_counts_are_repaired(empty_dsn: str, empty: Rows) -> None:
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


def test_null_is_refused_in_columns_where_it_lost_jobs(empty_dsn: str, empty: Rows) -> None:
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

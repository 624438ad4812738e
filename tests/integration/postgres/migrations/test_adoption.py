"""Adopting a database with rows, while clients write, and with objects of the host that conflict."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.postgres.connect import connect
from bridge.postgres.migrations import (
    MigrationError,
    migrate_down,
    migrate_up,
    migration_states,
    migrations,
)
from bridge.postgres.migrations.files import ORIGINAL_FUNCTIONS
from bridge.postgres.startup_checks import SCHEMA_VERSION, check_database
from tests.support.catalog import catalog, changed
from tests.support.legacy import fill, session_of
from tests.support.rows import Rows


def test_null_values_stay_null(empty_dsn: str, old: Rows) -> None:
    session = session_of(old)
    for columns in (
        {"priority": None},
        {"updated_at": None},
        {"created_at": None, "retry_count": None},
        {"status": None},
    ):
        old.add_job(session_id=session, prompt="p", **columns)
    ended = old.add_job(
        session_id=session, prompt="p", completed_at="2026-02-01", updated_at="2026-03-01", priority=None
    )

    migrate_up(empty_dsn)

    rows = old.all("SELECT id, started_at, completed_at, created_at, updated_at FROM coding_jobs")
    assert [row["started_at"] for row in rows] == [None] * 5
    assert [row["completed_at"].year for row in rows if row["completed_at"]] == [2026]
    assert all(row["created_at"].year >= 2026 and row["updated_at"].year >= 2026 for row in rows)
    assert old.job(ended)["completed_at"].month == 2
    assert old.job(ended)["updated_at"].month == 3, "a trigger of the host's took the repair for news of the job"


def test_two_migrations_at_once_both_succeed(empty_dsn: str, old: Rows) -> None:
    fill(old, 3000, "pending")
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(migrate_up(empty_dsn))
        except Exception as error:  # noqa: BLE001 -- looked at below
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(map(len, results)) == [0, 0, len(migrations())]


@pytest.fixture
def role(empty_dsn: str, old: Rows) -> Iterator[Callable[[str], str]]:
    """Makes roles of the host that may log in. Returns the address."""
    name = f"host_{uuid4().hex[:8]}"
    old.all(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")

    def address(grants: str) -> str:
        old.all(grants.replace("ROLE", name))
        rest = empty_dsn.split("@", 1)[1]
        return f"postgresql://{name}:secret@{rest}"

    yield address
    old.all(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_missing_right_is_named_with_the_statement_that_grants_it(role: Callable[[str], str]) -> None:
    with pytest.raises(MigrationError) as caught:
        migrate_up(role("GRANT SELECT ON coding_jobs TO ROLE"))

    assert "may not create in schema public (→ as its owner: GRANT CREATE ON SCHEMA public TO host_" in str(
        caught.value
    )
    assert "does not own public.coding_jobs, mobvibe does (→ run as mobvibe" in str(caught.value)


def test_the_owner_of_the_tables_needs_no_right_on_the_database(role: Callable[[str], str], old: Rows) -> None:
    owned = ("coding_jobs", "coding_sessions", "session_events")
    address = role(
        "GRANT USAGE, CREATE ON SCHEMA public TO ROLE; GRANT REFERENCES ON projects TO ROLE;"
        + "".join(f"ALTER TABLE {table} OWNER TO ROLE;" for table in owned)
        + "".join(f"ALTER FUNCTION {name} OWNER TO ROLE;" for name in sorted(ORIGINAL_FUNCTIONS))
    )
    fill(old, 20, "pending")

    migrate_up(address)

    check_database(address)


def test_a_read_only_role_can_query_the_state(role: Callable[[str], str], old: Rows) -> None:
    address = role("GRANT USAGE ON SCHEMA public TO ROLE")
    before = old.all("SELECT nspname FROM pg_namespace ORDER BY 1")

    assert not any(state.applied for state in migration_states(address))

    for migration in migrations():
        old.all(migration.text)
    assert all(state.applied for state in migration_states(address))
    assert old.all("SELECT nspname FROM pg_namespace ORDER BY 1") == before
    assert migrate_up(address) == []


def test_no_setting_is_left_on_the_session(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a pooler in transaction mode the next client of the session would get it."""
    shown = "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name NOT LIKE 'tcp_%%'"
    with connect(empty_dsn, "shared") as shared, psycopg.connect(empty_dsn, autocommit=True) as watching:
        before = {row["name"]: row["setting"] for row in shared.execute(shown)}
        monkeypatch.setattr(type(shared), "close", lambda _: None)
        monkeypatch.setattr(type(shared), "__exit__", lambda *_: None)
        opened: list[Any] = []
        real = connect

        def note(*args: Any, **options: Any) -> Any:
            opened.append(real(*args, **options))
            return opened[-1]

        monkeypatch.setattr("bridge.postgres.migrations.up.connect", note)
        migrate_up(empty_dsn)
        monkeypatch.undo()

        for one in opened:
            assert {row["name"]: row["setting"] for row in one.execute(shown)} == before
            locks = watching.execute(
                "SELECT locktype FROM pg_locks WHERE pid = %s AND locktype = 'advisory'", [one.info.backend_pid]
            ).fetchall()
            assert locks == []
            one.close()
    assert SCHEMA_VERSION


def add_event(rows: Rows, session: UUID, type_: str = "thinking", seq: int | None = None) -> None:
    columns, values = ("", "") if seq is None else (", seq", f", {seq}")
    rows.all(
        f"INSERT INTO session_events (session_id, event_type, data{columns}) VALUES (%s, %s, '{{}}'{values})",
        [session, type_],
    )


def test_existing_events_come_before_the_first_number(empty_dsn: str, old: Rows) -> None:
    session = session_of(old)
    add_event(old, session)

    migrate_up(empty_dsn)

    add_event(old, session, "terminal")
    found = old.all("SELECT event_type, seq FROM session_events ORDER BY seq NULLS FIRST")
    assert [(row["event_type"], row["seq"]) for row in found] == [("thinking", None), ("terminal", 1)]


def test_events_of_the_previous_version_keep_their_numbers(empty_dsn: str, old: Rows) -> None:
    session = session_of(old)
    old.all("""
        CREATE SEQUENCE session_events_seq START 41;
        ALTER TABLE session_events ADD COLUMN seq bigint DEFAULT nextval('session_events_seq');
        CREATE INDEX session_events_stream ON session_events (session_id, seq);
        CREATE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT 11'""")
    add_event(old, session)

    migrate_up(empty_dsn)

    add_event(old, session)
    other = session_of(old)
    add_event(old, other)
    found = old.all("SELECT session_id, seq FROM session_events ORDER BY seq DESC")
    assert [(row["session_id"], row["seq"]) for row in found] == [(session, 42), (session, 41), (other, 1)]
    assert old.value("SELECT to_regclass('session_events_stream')") is None


def test_events_with_equal_numbers_are_reported_with_a_remedy(empty_dsn: str, old: Rows) -> None:
    session = session_of(old)
    old.all("ALTER TABLE session_events ADD COLUMN seq bigint")
    for _ in range(2):
        add_event(old, session, seq=7)

    with pytest.raises(MigrationError, match="session_events has rows with the same session_id and seq") as caught:
        migrate_up(empty_dsn)

    add_event(old, session, seq=7)  # nothing half made is in the way
    old.all(str(caught.value).split("→ ")[1].split(", which")[0])
    migrate_up(empty_dsn)
    add_event(old, session)
    assert sorted(row["seq"] or 0 for row in old.all("SELECT seq FROM session_events")) == [0, 0, 0, 1]


FUNCTIONS = (
    "claim_next_job()", "complete_job(uuid)", "fail_job(uuid,text)", "notify_new_job()", "notify_job_status_change()",
    "get_queue_stats()",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "column",
            r"column coding_jobs\.(id|session_id|prompt|status|priority|(max_retries|retry_count)|(cre|upd)ated_at)",
        ),
        ("policy", r"policy (write|insert) events on session_events"),
        ("publication", ""),
        ("index", "index coding_jobs_status_priority_idx on coding_jobs"),
        ("trigger", r"trigger on_job_(created|status_changed) on coding_jobs"),
        ("table", "table coding_jobs"),  # in one of the two databases its row level security was off
        ("right of", rf"right of (PUBLIC|anon|authenticated) to execute ({'|'.join(map(re.escape, FUNCTIONS))})"),
        ("function", rf"function ({'|'.join(map(re.escape, FUNCTIONS))})"),
    ],
)
def test_what_the_host_has_added_is_kept(supabase: Rows, empty_dsn: str, kind: str, expected: str) -> None:
    before = catalog(supabase)
    assert any(name.startswith(f"{kind} ") for name in before)

    migrate_up(empty_dsn)

    lost = [name for name in changed(before, catalog(supabase)) if name in before and name.startswith(f"{kind} ")]
    assert [name for name in lost if not re.fullmatch(expected, name)] == []


def test_values_of_the_hosts_columns_and_events_are_kept(supabase: Rows, empty_dsn: str) -> None:
    session = session_of(supabase)
    supabase.all("UPDATE coding_sessions SET resumable = true, sandbox_id = 'machine-7'")
    job = supabase.add_job(session_id=session, prompt="p", tenant="acme")
    column = "event_data" if "column session_events.event_data" in catalog(supabase) else "data"
    supabase.all(
        f"INSERT INTO session_events (session_id, event_type, {column}) VALUES (%s, 'error', '[1]')", [session]
    )

    for change in ("up", "down"):
        migrate_up(empty_dsn) if change == "up" else migrate_down(empty_dsn)

        assert supabase.job(job)["tenant"] == "acme"
        assert (supabase.session(session)["resumable"], supabase.session(session)["sandbox_id"]) == (True, "machine-7")
        assert supabase.value(f"SELECT {column} FROM session_events") == [1]

"""Adopting a database with rows, while clients write, and with objects of the host that conflict."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import SecretStr

from bridge.cli.doctor import preview_migration
from bridge.postgres.connect import connect
from bridge.postgres.migrations import (
    MigrationError,
    find_conflicts,
    migrate_up,
    migration_states,
    migrations,
)
from bridge.postgres.migrations.files import ORIGINAL_FUNCTIONS
from bridge.postgres.startup_checks import SCHEMA_VERSION, check_database
from bridge.settings import Settings
from tests.conftest import Servers
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


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("ALTER TABLE coding_jobs ADD COLUMN result text", "column coding_jobs.result is text, the bridge's is jsonb"),
        ("ALTER TABLE coding_jobs ADD COLUMN worker text", "column coding_jobs.worker is text, the bridge's is uuid"),
        ("ALTER TABLE coding_jobs ADD COLUMN payload jsonb", "column coding_jobs.payload is yours already"),
        (
            "ALTER TABLE coding_jobs ADD COLUMN tenant text NOT NULL",
            "coding_jobs.tenant is required and has no default",
        ),
        ("ALTER TABLE coding_jobs DROP COLUMN retry_count", "column coding_jobs.retry_count is missing"),
        (
            "CREATE TYPE job_status AS ENUM (); ALTER TABLE coding_jobs DROP status, ADD COLUMN status job_status",
            "column coding_jobs.status is job_status, the bridge's is text",
        ),
        (
            "ALTER TABLE coding_jobs ALTER COLUMN created_at TYPE timestamp",
            "coding_jobs.created_at is timestamp without",
        ),
        (
            "DROP FUNCTION complete_job; CREATE FUNCTION complete_job(job_id uuid) RETURNS void LANGUAGE sql AS ''",
            "function complete_job(uuid) names its parameters job_id, the bridge's job_id_param",
        ),
        (
            "DROP FUNCTION fail_job;CREATE FUNCTION fail_job(job_id_param uuid, error_msg text) RETURNS text RETURN ''",
            "function fail_job(uuid,text) returns text, the bridge's returns boolean",
        ),
        (
            "CREATE FUNCTION cancel_job(n integer) RETURNS void LANGUAGE sql AS ''",
            "function cancel_job(integer) has the name",
        ),
        ("CREATE VIEW workers AS SELECT 1 AS one", "public.workers is a view"),
        ("CREATE TABLE job_audit (what text)", "public.job_audit exists already and is not the bridge's"),
        (
            "CREATE TABLE others (n integer); CREATE INDEX jobs_ready ON others (n)",
            "index jobs_ready is on table others",
        ),
        ("CREATE TABLE coding_jobs_seq (n integer)", "public.coding_jobs_seq exists already and is no sequence"),
        ("ALTER TABLE session_events DROP COLUMN data", "session_events has neither data nor event_data"),
        ("ALTER TABLE session_events DROP CONSTRAINT session_events_pkey", "session_events.id is no primary key"),
        ("CREATE TABLE session_streams (n integer)", "public.session_streams exists already and is not the bridge's"),
    ],
)
def test_conflicts_are_reported_before_the_first_change(empty_dsn: str, old: Rows, host: str, expected: str) -> None:
    old.all(host)
    before = old.all("SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")

    with pytest.raises(MigrationError) as caught:
        migrate_up(empty_dsn)

    assert str(caught.value).startswith("Nothing was changed. In the way: ")
    assert expected in str(caught.value)
    assert "→" in str(caught.value)
    assert "\n" not in str(caught.value)
    after = old.all("SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
    assert after == before


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_whose_encoding_is_not_utf8_is_refused(servers: Servers, settings: Settings, encoding: str) -> None:
    name = f"test_{encoding.lower()}_{uuid4().hex[:8]}"
    with psycopg.connect(servers.database_url("postgres"), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        try:
            with pytest.raises(MigrationError) as caught:
                migrate_up(servers.database_url(name))
            there = settings.model_copy(update={"database_url": SecretStr(servers.database_url(name))})
            ahead = preview_migration(there)
            with psycopg.connect(servers.database_url(name)) as inside:
                made = Rows(inside).all("SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert str(caught.value).startswith(
        f"Nothing was changed. In the way: the database's encoding is {encoding}, which cannot hold every text"
    )
    assert "ENCODING 'UTF8' TEMPLATE template0" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [finding.check for finding in ahead if finding.state == "fail"] == ["in the way"]
    assert made == []


def test_all_conflicts_are_reported_together(empty_dsn: str, old: Rows) -> None:
    old.all(
        "ALTER TABLE coding_jobs ADD COLUMN result text, ADD COLUMN worker text; CREATE TABLE job_audit (what text)"
    )

    with connect(empty_dsn, "test") as connection:
        assert len(find_conflicts(connection)) == 3


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

        monkeypatch.setattr("bridge.postgres.migrations.connect", note)
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


def test_the_doctor_lists_beforehand_what_would_change_and_changes_nothing(
    empty_dsn: str, old: Rows, settings: Settings
) -> None:
    fill(old, 3, "pending")
    old.add_job(session_id=session_of(old), prompt="p", priority=None)
    old.all("ALTER FUNCTION complete_job SECURITY DEFINER")
    ours = settings.model_copy(update={"database_url": SecretStr(empty_dsn)})
    before = old.all("SELECT oid, relname FROM pg_class ORDER BY 1")

    listed = [finding.found for finding in preview_migration(ours)]

    assert old.all("SELECT oid, relname FROM pg_class ORDER BY 1") == before
    for text in (
        "columns are added to coding_jobs: actor, queue",
        "complete_job(uuid) is replaced and is SECURITY DEFINER no more",
        "index coding_jobs_status_priority_idx is dropped",
        "1 rows are repaired",
        "1 waiting rows have no priority: they came first",
        "4 unfinished rows get a number",
    ):
        assert any(text in line for line in listed), (text, listed)
    old.all("ALTER TABLE coding_jobs ADD COLUMN result text")
    assert preview_migration(ours)[0].check == "in the way"
    old.all("ALTER TABLE coding_jobs DROP COLUMN result")
    migrate_up(empty_dsn)
    assert [finding.found for finding in preview_migration(ours)] == ["up to date: nothing would change"]


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

"""Locks while a database with rows is adopted and clients of the host write to it."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.sql import Composable

from bridge.postgres.connection import Connection
from bridge.postgres.migrations import MigrationError, migrate_up, migrations
from bridge.postgres.migrations.locks import with_lock_retries
from bridge.postgres.startup_checks import check_database
from tests.support import legacy
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.support.web_rights import open_to_the_web, tables

WAITS_FOR = """
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE a.application_name = 'mobvibe migrate' AND NOT l.granted AND l.relation = %s::regclass"""


@pytest.fixture
def old(web_roles: None, empty_dsn: str) -> Iterator[Rows]:
    """A MobVibe database on Supabase as the Node worker used it, with a session and its job."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.GENEROUS_DEFAULTS + legacy.SCHEMA + legacy.session_events("data", checked=True))
        user = rows.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
        session = rows.add_session(user_id=user, project_id=user, initial_prompt="p", expires_at="2999-01-01")
        rows.add_job(session_id=session, prompt="p")
        yield rows


class Client(threading.Thread):
    """Causes a deadlock: holds a lock on one table, and requests one on another when the migration, which holds
    that one, waits for the first. Its own deadlock time-out is long, so Postgres ends the migration, not this client.
    """

    def __init__(self, dsn: str, first: str, second: str) -> None:
        super().__init__(daemon=True)
        self._connection = psycopg.connect(dsn, application_name="their app")
        self._watching = psycopg.connect(dsn, autocommit=True)
        self._first, self._second = first, second
        self.has_committed = False

    def begin(self) -> None:
        self._connection.execute("SET deadlock_timeout = '60s'")
        self._connection.execute(f"UPDATE {self._first} SET created_at = now()")
        self.start()

    def run(self) -> None:
        eventually(lambda: self._watching.execute(WAITS_FOR, [self._first]).fetchone() != (0,))
        self._connection.execute(f"UPDATE {self._second} SET created_at = now()")
        self._connection.commit()
        self.has_committed = True

    def close(self) -> None:
        self.join(20)
        self._connection.close()
        self._watching.close()


@pytest.fixture(
    params=[
        ("Migration rights", "coding_sessions", "coding_jobs"),
        ("Migration 0001_sessions", "session_events", "coding_sessions"),
        ("Migration triggers/jobs", "coding_sessions", "coding_jobs"),
    ],
    ids=["in the first one", "in one that makes tables", "in a later one"],
)
def client(
    request: pytest.FixtureRequest, old: Rows, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """A client that deadlocks with the given step of the migration."""
    at, first, second = request.param
    for table in ("coding_jobs", "coding_sessions"):  # so that the first migration locks both
        old.all(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    client = Client(empty_dsn, first, second)

    def step_by_step(connection: Any, name: str, step: Callable[[], Any]) -> Any:
        if name == at and not client.ident:
            client.begin()
        return with_lock_retries(connection, name, step)

    monkeypatch.setattr("bridge.postgres.migrations.up.with_lock_retries", step_by_step)
    yield client
    client.close()
    assert client.has_committed


def test_a_deadlock_is_named_and_the_step_repeated(
    client: Client, empty_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    migrate_up(empty_dsn)

    assert "waits for a deadlock with process" in caplog.text
    assert "(their app, role " in caplog.text
    check_database(empty_dsn)


def test_repeated_deadlocks_end_in_one_line_and_leave_no_rights_open(
    client: Client, old: Rows, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tables(old)
    assert with_lock_retries.__kwdefaults__ is not None
    monkeypatch.setitem(with_lock_retries.__kwdefaults__, "tries", 1)

    with pytest.raises(
        MigrationError,
        match=r"^Migration [\w/]+ could not be done: a deadlock with process \d+ \(their app.*mobvibe migrate up$",
    ):
        migrate_up(empty_dsn)

    assert open_to_the_web(old, theirs) == []
    monkeypatch.undo()
    migrate_up(empty_dsn)
    check_database(empty_dsn)
    assert open_to_the_web(old, theirs) == []


MANY = 3000
LARGE = "('coding_jobs'::regclass, 'coding_sessions'::regclass, 'session_events'::regclass)"
FILL = """
    INSERT INTO coding_sessions (user_id, project_id, initial_prompt, expires_at)
    SELECT user_id, project_id, 'p', expires_at FROM coding_sessions, generate_series(1, %(many)s);
    INSERT INTO session_events (session_id, event_type, data) SELECT id, 'thinking', '{}' FROM coding_sessions;
    INSERT INTO coding_jobs (session_id, prompt, priority, status)
    SELECT id, 'p', nullif(n %% 2, 1), CASE WHEN n %% 4 = 0 THEN 'pending' ELSE 'completed' END
    FROM (SELECT id, row_number() OVER () AS n FROM coding_sessions) s"""
# The rows that this transaction has read, and the locks for which writers wait.
READ = f"""
    SELECT relname AS name, pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid) AS rows,
           EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.relation = c.oid AND l.granted AND l.mode
                   IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) AS is_locked
    FROM pg_class c WHERE oid IN {LARGE}"""
A_STATEMENT = re.compile(r"(?:--[^\n]*|'[^']*'|\$(\w*)\$.*?\$\1\$|[^;])+(?:;|\Z)", re.DOTALL)


class LockWatch:
    """Checks for each statement of the migration whether it read much of a table while writers had to wait."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self.under_lock: list[tuple[str, str]] = []
        self.beside: list[str] = []

    def execute(self, connection: Connection, query: Any, params: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else query
        is_ours = connection.info.parameter_status("application_name") == "mobvibe migrate"
        is_inside = connection.info.transaction_status == TransactionStatus.INTRANS
        if not (is_ours and is_inside) or isinstance(
            text, Composable
        ):  # which is SET TRANSACTION, to come first in one
            return psycopg.Connection.execute(connection, query, params)
        for one in [text] if params else [found[0] for found in A_STATEMENT.finditer(text) if found[0].strip()]:
            cursor = self._check_locks(connection, one, params)
        return cursor

    def _check_locks(self, connection: Connection, text: Any, params: Any) -> Any:
        before = self._read(connection)
        cursor = psycopg.Connection.execute(connection, text, params)
        for table, now in self._read(connection).items():
            if now["rows"] - before[table]["rows"] < MANY / 10:
                continue
            if now["is_locked"]:
                self.under_lock.append((table, text))
            else:
                self.beside.append(text)
                self._write()
        return cursor

    @staticmethod
    def _read(connection: Connection) -> dict[str, Any]:
        return {row["name"]: row for row in psycopg.Connection.execute(connection, READ).fetchall()}


def test_no_statement_reads_a_whole_table_while_writers_wait(
    old: Rows, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for statement in FILL.split(";"):
        old.all(statement, {"many": MANY})
    session = old.value("SELECT id FROM coding_sessions LIMIT 1")
    files = f"SELECT oid, pg_relation_filenode(oid) FROM pg_class WHERE oid IN {LARGE}"
    before = old.all(files)
    old.all("SET statement_timeout = '3s'")

    def write() -> None:
        job = old.add_job(session_id=session, prompt="p")
        old.all("UPDATE coding_jobs SET status = 'completed' WHERE id = %s", [job])
        old.all("UPDATE coding_sessions SET status = 'completed' WHERE id = %s", [session])
        old.all("INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'thinking', '{}')", [session])

    watch = LockWatch(write)

    def execute(connection: Connection, query: Any, params: Any = None) -> Any:
        return watch.execute(connection, query, params)

    monkeypatch.setattr(Connection, "execute", execute)

    migrate_up(empty_dsn)

    assert watch.under_lock == []
    assert old.all(files) == before, "a table was written anew"
    for part in ("UPDATE public.coding_jobs SET", "VALIDATE CONSTRAINT", "count_jobs()"):
        assert any(part in " ".join(text.split()) for text in watch.beside), part


def test_each_client_may_insert_as_soon_as_the_column_has_its_default(
    old: Rows, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = old.value("SELECT id FROM coding_sessions LIMIT 1")
    old.all("ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM service_role")
    old.all("SET ROLE service_role")
    inserted = []

    def insert_after(connection: Any, name: str, step: Callable[[], Any]) -> Any:
        done = with_lock_retries(connection, name, step)
        inserted.append(old.add_job(session_id=session, prompt="p"))
        return done

    monkeypatch.setattr("bridge.postgres.migrations.online.with_lock_retries", insert_after)
    migrate_up(empty_dsn)

    old.all("RESET ROLE")
    assert len(inserted) > 5


def test_what_an_old_worker_runs_is_taken_over_without_a_lock_that_it_waits_for(old: Rows, empty_dsn: str) -> None:
    """Else its report waits for the row, and the migration for the report: a deadlock, and the report may be lost."""
    migrate_up(empty_dsn)
    old.all("UPDATE coding_jobs SET status = 'processing'")
    (step,) = [migration for migration in migrations() if migration.name == "0012_claims"]

    with old.connection.transaction():
        old.all(step.text)
        assert old.value("SELECT count(*) FROM coding_jobs WHERE xmin = pg_current_xact_id()::xid") == 1
        locks = old.all(
            f"SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN {LARGE}"
        )

    assert {lock["mode"] for lock in locks} <= {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}

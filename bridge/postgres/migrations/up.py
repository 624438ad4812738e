"""Applies the migrations to a database, and lists which are applied.

They are plain SQL, safe to run twice, and the last one records the version: psql or the supabase CLI may apply them,
too. No setting, lock or temporary object outlives a transaction, so that they work through a pooler.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from psycopg import sql
from psycopg.pq import TransactionStatus

from bridge.postgres.connect import connect
from bridge.postgres.connection import Connection
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.migrations.files import Migration, migrations, pending
from bridge.postgres.migrations.grants import called_functions, rights, table_rights
from bridge.postgres.migrations.locks import MigrationError, limited, with_lock_retries
from bridge.postgres.migrations.online import prepare_attempts, prepare_events, prepare_jobs, prepare_sessions
from bridge.postgres.migrations.plan import find_conflicts, schema_version

logger = logging.getLogger(__name__)

_TURN_SECONDS = 600.0  # for another run of this command: a table with many rows takes minutes
# Short at first: most runs have nothing to do, and end at once.
_FIRST_REST_SECONDS, _REST_MOST_SECONDS = 0.2, 5.0
_PATH = "SET LOCAL search_path = public, pg_temp;\n"  # a role may have another path
_JOBS, _COUNTS = "0002_jobs", "triggers/counts"


@dataclass(frozen=True, slots=True)
class MigrationState:
    name: str
    applied: bool


def migrate_up(dsn: str, *, grant_to: str | None = None) -> list[str]:
    """Bring the schema to this version. Returns the names of the migrations that were applied.

    The role `grant_to`, which must exist, gets the rights that this version needs, even when no migration is missing.

    Each is a transaction of its own and safe to run twice. Steps that take long on a table with rows are done before,
    while jobs run. Raises MigrationError if something stops a migration, if possible before the first change.
    """
    with our_turn(dsn), connect(dsn, "migrate") as connection, translate_postgres_errors():
        if grant_to is not None:
            _check_role(connection, grant_to)
        missing = pending(schema_version(connection))
        if missing:
            _apply(dsn, connection, missing)
        if grant_to is not None:
            with_lock_retries(connection, f"GRANT to {grant_to}", partial(_grant, connection, grant_to))
    return [migration.name for migration in missing]


def _check_role(connection: Connection, role: str) -> None:
    row = connection.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) AS found", [role]).fetchone()
    if not row or not row["found"]:
        raise MigrationError(
            f"Nothing was changed. There is no role {role!r} to grant to: make it first (docs/how-to/role.md)"
        )


def _grant(connection: Connection, role: str) -> None:
    """Who has a right but may not pass it on only gets a warning from GRANT: so what the role has is looked up."""
    connection.execute(f"{_PATH}{rights(role)}".encode())
    rows = connection.execute(
        "SELECT t.name FROM unnest(%(tables)s::text[], %(rights)s::text[]) AS t (name, given),"
        " unnest(string_to_array(t.given, ', ')) AS one"
        " WHERE NOT has_table_privilege(%(role)s::name, 'public.' || t.name, one)"
        " UNION SELECT p.proname FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'public'::regnamespace"
        " AND p.proname = ANY(%(functions)s) AND NOT has_function_privilege(%(role)s::name, p.oid, 'EXECUTE')"
        " ORDER BY 1",
        {"role": role, "functions": called_functions(), **table_rights()},
    ).fetchall()
    if rows:
        raise MigrationError(
            f"{len(rows)} rights could not be given to {role!r}, such as that on {rows[0]['name']}: this login "
            "may not pass them on. Use that of the owner of the tables and functions: OWNERS_DATABASE_URL"
        )


def _apply(dsn: str, connection: Connection, missing: list[Migration]) -> None:
    if conflicts := find_conflicts(connection):
        listed = "; ".join(f"{one.what} (→ {one.fix})" for one in conflicts)
        raise MigrationError(f"Nothing was changed. In the way: {listed}")
    for migration in missing:
        if migration is missing[1]:  # the first one has written down what the database had before
            prepare_events(connection)
            prepare_sessions(connection)
            prepare_attempts(connection)
        if migration.name == _JOBS:
            prepare_jobs(connection)  # the trigger guard_job exists by now
        if migration.name == _COUNTS:
            _apply_and_count(dsn, connection, migration)
        else:
            with_lock_retries(connection, _title(migration), partial(connection.execute, migration.text.encode()))


def migration_states(dsn: str) -> list[MigrationState]:
    """All migrations in order, and whether the schema's version includes them. Only reads.

    Raises SchemaError when the database has a later version.
    """
    with connect(dsn, "migrate") as connection, translate_postgres_errors():
        version = schema_version(connection)
    return [MigrationState(one.name, one.version <= version) for one in migrations()]


def _title(migration: Migration) -> str:
    return f"Migration {migration.name}"


def _apply_and_count(dsn: str, connection: Connection, migration: Migration) -> None:
    """Make the triggers that count jobs, and count the jobs that exist, with no gap and without blocking writers.

    While the triggers are made, no client can write. A second connection keeps a snapshot of that moment, and counts
    in it while clients write again.
    """
    with connect(dsn, "migrate") as counting:

        def step() -> None:
            connection.execute("SELECT set_config('mobvibe.count', 'later', true)")
            connection.execute(migration.text.encode())
            if counting.info.transaction_status != TransactionStatus.IDLE:  # left by an earlier try
                counting.execute("ROLLBACK")
            row = connection.execute("SELECT pg_export_snapshot() AS snapshot").fetchone()
            assert row is not None
            counting.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            counting.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(row["snapshot"]))
            limited(counting)

        with_lock_retries(connection, _title(migration), step)
        counting.execute("SELECT public.count_jobs()")
        counting.execute("COMMIT")


@contextmanager
def our_turn(dsn: str) -> Iterator[None]:
    """One run at a time. The lock belongs to a transaction, and is tried repeatedly: no statement waits for it.

    Danger: a waiting statement keeps a snapshot, for which CREATE INDEX CONCURRENTLY of the other run would wait.
    """
    with connect(dsn, "migrate lock") as connection, translate_postgres_errors():
        until, rest, is_logged = time.monotonic() + _TURN_SECONDS, _FIRST_REST_SECONDS, False
        while True:
            with connection.transaction():
                limited(connection)
                row = connection.execute(
                    "SELECT pg_try_advisory_xact_lock(hashtext('mobvibe.migrate')) AS taken"
                ).fetchone()
                if row and row["taken"]:
                    yield
                    return
            if time.monotonic() > until:
                raise MigrationError(
                    f"Another mobvibe migrate has been running for {_TURN_SECONDS:.0f} s: wait for its end"
                )
            if not is_logged:
                logger.info("Another mobvibe migrate is running: waiting for its end")
                is_logged = True
            time.sleep(rest)
            rest = min(rest * 2, _REST_MOST_SECONDS)

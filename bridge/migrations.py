"""Applies `sql/migrations` to a database, through yoyo, and tells what is applied.

The files are plain SQL, safe to run twice, and say their version themselves: psql or the supabase CLI
may apply them just as well.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import MigrationList

from bridge.database import connect
from bridge.errors import BridgeError, SchemaError
from bridge.postgres_errors import first_line, in_our_words

# yoyo's own tables live apart: PostgREST serves what is in public. No schema may be named like a role, or
# that role's tables would land in it.
_BOOKS = "mobvibe_migrations"


class MigrationError(BridgeError):
    """A migration was refused by Postgres; its transaction was rolled back."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class MigrationState:
    name: str
    applied: bool


def migration_files() -> list[Path]:
    folder = resources.files("bridge").joinpath("sql", "migrations")
    return sorted(Path(str(file)) for file in folder.iterdir() if file.name.endswith(".sql"))


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo ships no types
    """yoyo on connections of ours."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        super().__init__(parse_uri("postgresql+psycopg:///mobvibe"), "_yoyo_migration")

    def connect(self, dburi: Any) -> Any:  # noqa: ARG002 -- ours is known
        connection = connect(self._dsn, "migrate", statement_timeout_ms=600_000)
        connection.row_factory = psycopg.rows.tuple_row  # type: ignore[assignment]
        return connection

    def copy(self) -> "_Backend":
        return _Backend(self._dsn)

    def init_connection(self, connection: Any) -> None:
        connection.execute("SELECT set_config('search_path', %s, false)", [_BOOKS])

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        # yoyo asks the name service and the password file, which hang or fail in containers.
        return {
            "id": str(uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": "mobvibe",
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }


@contextmanager
def _books(dsn: str) -> Iterator[tuple[_Backend, MigrationList]]:
    connection = connect(dsn, "migrate", statement_timeout_ms=600_000)
    try:
        with in_our_words():
            # Two migrations at once would trip over each other. A lock of the session, not yoyo's lock
            # row: that one survives a crash and then bars the way.
            connection.execute("SELECT set_config('lock_timeout', '60s', false)")
            connection.execute("SELECT pg_advisory_lock(hashtext('mobvibe.migrate'))")
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_BOOKS}")
            with _Backend(dsn) as backend:
                backend.init_database()
                yield backend, read_migrations(str(migration_files()[0].parent))
    finally:
        connection.close()


def migrate_up(dsn: str) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; the names of what was applied.

    Where a file is missing the others are applied again, in their order: functions are kept in one place, and a
    database of an earlier version has earlier ones. Every file is safe to run twice.
    """
    done = []
    with _books(dsn) as (backend, migrations):
        missing = {migration.id for migration in backend.to_apply(migrations)}
        for migration in migrations if missing else ():
            try:
                if migration.id not in missing:
                    with connect(dsn, "migrate", statement_timeout_ms=600_000) as again:
                        again.execute(Path(migration.path).read_bytes())
                    continue
                backend.apply_one(migration)
            except psycopg.OperationalError:
                raise
            except psycopg.Error as error:
                raise MigrationError(
                    f"Migration {migration.id} was refused and rolled back: {first_line(error)}"
                ) from error
            done.append(migration.id)
    return done


def migration_states(dsn: str) -> list[MigrationState]:
    """All known migrations in order. Raises SchemaError when the database has later ones."""
    with _books(dsn) as (backend, migrations):
        pending = {migration.id for migration in backend.to_apply(migrations)}
        row = backend.execute("SELECT to_regprocedure('public.mobvibe_schema_version()')").fetchone()
        if row[0] is not None:
            version = backend.execute("SELECT public.mobvibe_schema_version()").fetchone()[0]
            if version > len(migrations):
                raise SchemaError(
                    f"The database has schema {version}, newer than this version knows ({len(migrations)})."
                )
        return [MigrationState(migration.id, migration.id not in pending) for migration in migrations]

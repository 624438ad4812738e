"""Finds out what a migration would change in this database, and what would stop it. Only reads."""

from dataclasses import dataclass

from bridge.errors import SchemaError
from bridge.postgres.connection import Connection
from bridge.postgres.migrations.files import host_indexes, pending, private_functions
from bridge.postgres.read_only import read_only
from bridge.postgres.startup_checks import SCHEMA_VERSION
from bridge.postgres.statements import statement


@dataclass(frozen=True, slots=True)
class Conflict:
    """What would stop a migration, and what to do about it."""

    what: str
    fix: str


def find_conflicts(connection: Connection) -> list[Conflict]:
    """What would make a migration fail, or do harm, in this database. Only reads."""
    if encoding := _unfit_encoding(connection):  # alone: the other queries contain characters that it may lack
        return [
            Conflict(
                f"the database's encoding is {encoding}, which cannot hold every text",
                "make a new one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, move the rows with"
                " pg_dump and pg_restore, and set DATABASE_URL to it",
            )
        ]
    if read := read_only(connection.execute(statement("read_only")).fetchall()):
        return [Conflict(f"the database is read-only: {read.why}", read.fix)]
    rows = connection.execute(statement("conflicts"), {"private": private_functions()}).fetchall()
    rows += connection.execute(statement("event_conflicts")).fetchall()
    found = [Conflict(row["what"], row["fix"]) for row in rows]
    if not found and connection.execute("SELECT to_regclass('public.coding_jobs') AS it").fetchone() != {"it": None}:
        strange = connection.execute(statement("strange_statuses")).fetchall()
        found += [
            Conflict(
                f"coding_jobs has rows with status {row['status']}, which no job can have",
                f"correct them first, as with UPDATE coding_jobs SET status = 'failed' WHERE status = {row['status']}",  # noqa: S608 -- shown, not run
            )
            for row in strange
        ]
    return found


def _unfit_encoding(connection: Connection) -> str | None:
    row = connection.execute("SELECT current_setting('server_encoding') AS encoding").fetchone()
    assert row is not None
    return None if row["encoding"] == "UTF8" else str(row["encoding"])


def find_changes(connection: Connection) -> list[str]:
    """What a migration would change in existing tables; empty if the schema is up to date. Only reads."""
    if not pending(schema_version(connection)):
        return []
    ours = host_indexes()
    marks = {"tables": list(ours.values()), "indexes": list(ours)}
    changes = [str(row["change"]) for row in connection.execute(statement("changes"), marks).fetchall()]
    if changes and not find_conflicts(connection):
        row = connection.execute(statement("changed_rows")).fetchone()
        assert row is not None
        if row["repaired"]:
            changes.append(f"{row['repaired']} rows are repaired: NULL or unreadable status, priority, counts or times")
        if row["without_priority"]:
            changes.append(
                f"{row['without_priority']} waiting rows have no priority: they came first, and get priority 0"
            )
        if row["waiting"]:
            changes.append(f"{row['waiting']} unfinished rows get a number in the order of their age")
    return changes or ["tables and functions of the bridge are created"]


def schema_version(connection: Connection) -> int:
    """The version of the database's schema, 0 for none. Raises SchemaError for one that is newer than ours."""
    row = connection.execute(
        "SELECT to_regprocedure('public.mobvibe_schema_version()') IS NOT NULL AS known"
    ).fetchone()
    if row is None or not row["known"]:
        return 0
    row = connection.execute("SELECT public.mobvibe_schema_version() AS version").fetchone()
    version = int(row["version"]) if row else 0
    if version > SCHEMA_VERSION:
        raise SchemaError(f"The database has schema {version}, newer than this version knows ({SCHEMA_VERSION}).")
    return version

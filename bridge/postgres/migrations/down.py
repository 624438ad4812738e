"""`migrate down`: gives the database back to the Node worker, with all its rows.

What it had before is in `adopted_definitions`, written by the first migration (`sql/adoption.sql`). A database without
that table gets the functions that the Node worker calls.
"""

from dataclasses import dataclass, field
from functools import partial

import psycopg

from bridge.postgres.connect import connect
from bridge.postgres.connection import Connection
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.migrations.batches import Pace, change_in_batches, run, value
from bridge.postgres.migrations.files import host_indexes, sections, way_back
from bridge.postgres.migrations.indexes import create_index, drop_index
from bridge.postgres.migrations.locks import MigrationError, with_lock_retries
from bridge.postgres.migrations.plan import schema_version
from bridge.postgres.migrations.up import our_turn
from bridge.postgres.startup_checks import SCHEMA_VERSION
from bridge.postgres.statements import statement

_AGAIN = "mobvibe migrate down"
_CLAIM_INDEX = "coding_jobs_status_priority_idx"  # the old claim reads it
_CLAIM_INDEX_TEXT = f"CREATE INDEX {_CLAIM_INDEX} ON public.coding_jobs (status, priority DESC, created_at)"
_LEFT = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE NOT a.attisdropped"
    " AND a.attrelid = to_regclass('public.coding_jobs') AND a.attname = 'retries_from_actor')"
)
_retrying = partial(with_lock_retries, again=_AGAIN)


@dataclass(slots=True)
class WayBack:
    """The steps that were done, and in words what became of rows and what could not be restored."""

    steps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def migrate_down(dsn: str, *, force: bool = False, drop: bool = False) -> WayBack:
    """Restore the functions, triggers, policies, rights and the index from before the bridge. Nothing done: no steps.

    Tables and columns of the bridge stay unless `drop`. Raises MigrationError before the first change if bridges or
    workers are live, or jobs wait that the Node worker would run wrongly; not with `force`, when such jobs have failed.
    """
    done = WayBack()
    with our_turn(dsn), connect(dsn, "migrate") as connection, translate_postgres_errors():
        version = schema_version(connection)
        is_installed = value(connection, "SELECT to_regprocedure('public.mobvibe_close_rights()') IS NOT NULL")
        if version and version < SCHEMA_VERSION:
            raise MigrationError(f"The database has schema {version}: run mobvibe migrate up first, then {_AGAIN}")
        if version and not force:
            _refuse_harm(connection)
        if is_installed:
            _give_back(connection, done)
        if drop and (is_installed or value(connection, _LEFT)):
            _apply(connection, "0005_tables", done)
    return done


def _refuse_harm(connection: Connection) -> None:
    risks = connection.execute(statement("way_back_risks")).fetchall()
    if risks:
        listed = "; ".join(f"{row['what']} (→ {row['fix']})" for row in risks)
        raise MigrationError(
            f"Nothing was changed. In the way: {listed}. With --force the way back is taken all the same: "
            "jobs that the Node worker cannot run right have failed then, and their error says why"
        )


def _give_back(connection: Connection, done: WayBack) -> None:
    """Each step may be stopped and repeated. Rows come before and after the swap: some may be inserted meanwhile."""
    recorded = _recorded(connection)
    _restore_index(connection, recorded)
    if value(connection, _LEFT):
        _settle_rows(connection, done)
    _apply(connection, "0002_jobs", done)
    if value(connection, _LEFT):
        _settle_rows(connection, done)
    _apply(connection, "0003_sessions", done)
    for kind, name in recorded:
        if kind == "constraint":
            _validate(connection, name, done)
        elif kind == "required":
            _require(connection, name, done)
    if not recorded:
        _validate(connection, "coding_jobs_status_check", done)
    for name in host_indexes():
        if ("index", name) not in recorded:
            drop_index(connection, name, again=_AGAIN)
    _apply(connection, "0004_functions", done)


def _refuse_foreign_definitions(connection: Connection) -> None:
    """Where all roles may make tables in `public`, any of them can have made this one."""
    for row in connection.execute(statement("foreign_definitions")).fetchall():
        raise MigrationError(
            f"public.adopted_definitions belongs to {row['owner']}, and its statements would be executed with your "
            "rights. Read them, then give it another owner, or: DROP TABLE public.adopted_definitions"
        )


def _recorded(connection: Connection) -> dict[tuple[str, str], str]:
    """(kind, name) → statement of what the database had before. Empty if nothing was written down."""
    if not value(connection, "SELECT to_regclass('public.adopted_definitions') IS NOT NULL"):
        return {}
    _refuse_foreign_definitions(connection)
    rows = connection.execute("SELECT kind, name, definition FROM public.adopted_definitions ORDER BY 1, 2").fetchall()
    return {(row["kind"], row["name"]): row["definition"] for row in rows}


def _restore_index(connection: Connection, recorded: dict[tuple[str, str], str]) -> None:
    text = recorded.get(("index", _CLAIM_INDEX), "" if recorded else _CLAIM_INDEX_TEXT)
    if text:
        text = text.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
        create_index(connection, _CLAIM_INDEX, text, again=_AGAIN)


def _settle_rows(connection: Connection, done: WayBack) -> None:
    pace, steps = Pace(connection, "coding_jobs"), sections()
    batches = partial(change_in_batches, connection, "coding_jobs: rows", pace=pace, again=_AGAIN)
    if rows := batches(steps["cancelled"], quiet=steps["quiet"]):
        done.notes.append(f"{rows} cancelled jobs have the status 'failed' now")
    if rows := batches(steps["unfit"]):
        done.notes.append(f"{rows} waiting jobs that the Node worker cannot run have failed; their error says why")


def _validate(connection: Connection, constraint: str, done: WayBack) -> None:
    """Check the old rows, which needs no strong lock. Some of the bridge's time may break the rule."""
    table = value(
        connection,
        "SELECT c.conrelid::regclass::text FROM pg_catalog.pg_constraint c WHERE c.conname = %(name)s"
        " AND c.connamespace = 'public'::regnamespace AND NOT c.convalidated",
        {"name": constraint},
    )
    if table is None:
        return
    text = f'ALTER TABLE {table} VALIDATE CONSTRAINT "{constraint}"'
    try:
        _retrying(connection, constraint, partial(run, connection, text))
    except MigrationError as error:
        if not isinstance(error.__cause__, psycopg.errors.CheckViolation):
            raise
        done.notes.append(f"{constraint} holds for new rows of {table} only: older ones break it")


def _require(connection: Connection, column: str, done: WayBack) -> None:
    """NOT NULL, by way of a constraint: that is checked without a strong lock."""
    if rows := value(connection, f'SELECT count(*) FROM public.coding_jobs WHERE "{column}" IS NULL'):  # noqa: S608
        done.notes.append(f"coding_jobs.{column} may still be NULL: {rows} rows have none")
        return
    rule = f"coding_jobs_{column}_required"
    alter = "ALTER TABLE public.coding_jobs"
    for text in (
        f'{alter} DROP CONSTRAINT IF EXISTS {rule}, ADD CONSTRAINT {rule} CHECK ("{column}" IS NOT NULL) NOT VALID',
        f"{alter} VALIDATE CONSTRAINT {rule}",
        f'{alter} ALTER COLUMN "{column}" SET NOT NULL, DROP CONSTRAINT {rule}',
    ):
        _retrying(connection, f"coding_jobs.{column}", partial(run, connection, text))


def _apply(connection: Connection, name: str, done: WayBack) -> None:
    _refuse_foreign_definitions(connection)
    text = way_back()[name].encode()
    _retrying(connection, f"Step {name}", partial(connection.execute, text))
    done.steps.append(name)

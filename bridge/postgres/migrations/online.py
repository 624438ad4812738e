"""Steps that take long on a table with rows, done before the migrations while jobs run. No strong lock is held long.

The migrations contain the same steps, in one transaction each, and skip what is done. Each step here may be stopped
and repeated.
"""

import logging
import time
from functools import partial
from typing import Any

import psycopg

from bridge.postgres.connection import Connection
from bridge.postgres.errors import first_line
from bridge.postgres.migrations.files import indexes, sections
from bridge.postgres.migrations.locks import (
    ANSWER_SECONDS,
    STATEMENT_TIMEOUT,
    MigrationError,
    in_the_way,
    with_lock_retries,
)

logger = logging.getLogger(__name__)

_INDEX_LOCK_TIMEOUT = "60s"  # CONCURRENTLY waits for open transactions, and no statement waits behind it
_BATCH = 5_000  # rows in one transaction, so that their locks are held for a moment only
_PACED_BATCH, _PACE_SECONDS = 500, 0.25  # rows, and the rest after them, if subscribers have to follow each change
_NEVER_NULL = ("status", "priority", "retry_count", "max_retries", "created_at", "updated_at")
_COUNT_WAITING = "SELECT count(*) FROM public.coding_jobs WHERE seq = 0 AND status IN ('pending', 'processing')"
# Rows that may be inserted between the count and the lock, in the time of a lock timeout: many, as a gap costs nothing.
_MORE_MEANWHILE = 100_000
_NUMBER = """
    UPDATE public.coding_jobs j SET seq = n.seq
    FROM (SELECT o.id, %(place)s + row_number() OVER (ORDER BY o.created_at, o.id) AS seq
          FROM (SELECT id, created_at FROM public.coding_jobs WHERE seq = 0 AND status IN ('pending', 'processing')
                ORDER BY created_at, id LIMIT %(size)s) o) n
    WHERE j.id = n.id"""
_NO_NUMBER = (
    "UPDATE public.session_events SET seq = NULL WHERE session_id IN (SELECT session_id FROM public.session_events"
    " WHERE seq IS NOT NULL GROUP BY session_id, seq HAVING count(*) > 1), which leaves them in the order of created_at"
)
_IS_COMPLETE = " AND ".join(f"{column} IS NOT NULL" for column in _NEVER_NULL)


def prepare_events(connection: Connection) -> None:
    """Add the column of session_events at once and its index in the background: it may be the largest table."""
    if not _value(connection, "SELECT to_regclass('public.session_events') IS NOT NULL"):
        return
    with_lock_retries(connection, "session_events.seq", lambda: _run(connection, """
        CREATE SEQUENCE IF NOT EXISTS public.session_events_seq;
        ALTER TABLE public.session_events ADD COLUMN IF NOT EXISTS seq bigint"""))  # fmt: skip
    _create_indexes(connection, "session_events")


def prepare_sessions(connection: Connection) -> None:
    if _value(connection, "SELECT to_regclass('public.coding_sessions') IS NOT NULL"):
        _create_indexes(connection, "coding_sessions")


def prepare_attempts(connection: Connection) -> None:
    if _value(connection, "SELECT to_regclass('public.job_attempts') IS NOT NULL"):
        _create_indexes(connection, "job_attempts")


def prepare_jobs(connection: Connection) -> None:
    """All parts of the table steps that read or write the whole of coding_jobs."""
    if not _value(connection, "SELECT to_regclass('public.coding_jobs') IS NOT NULL"):
        return
    steps = sections()
    _run(connection, "CREATE SEQUENCE IF NOT EXISTS public.coding_jobs_seq")
    for name in ("columns", "optional"):
        with_lock_retries(connection, f"coding_jobs: {name}", partial(_run, connection, steps[name]))
    is_paced = _value(
        connection,
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_publication_tables p"
        " WHERE p.schemaname = 'public' AND p.tablename = 'coding_jobs')",
    )
    _repair(connection, steps["repair"], is_paced=is_paced)
    _add_rules(connection, steps, is_paced=is_paced)
    _create_indexes(connection, "coding_jobs")
    _number(connection, steps["order"], is_paced=is_paced)


def _repair(connection: Connection, update: str, *, is_paced: bool) -> None:
    """Correct rows that no claim would find, a range of ids at a time."""
    statement = update.strip().removesuffix(";") + " AND id > %(after)s AND id <= %(last)s"
    after, repaired = "00000000-0000-0000-0000-000000000000", 0
    size = _PACED_BATCH if is_paced else _BATCH
    while last := _value(
        connection,
        "SELECT s.id FROM (SELECT id FROM public.coding_jobs WHERE id > %(after)s ORDER BY id LIMIT %(size)s) s"
        " ORDER BY s.id DESC LIMIT 1",
        {"after": after, "size": size},
    ):
        bounds = {"after": after, "last": last}
        changed = with_lock_retries(connection, "coding_jobs: repair", partial(_change, connection, statement, bounds))
        repaired += changed
        after = last
        if changed and is_paced:
            time.sleep(_PACE_SECONDS)
    if repaired:
        logger.info("Rows repaired", extra={"rows": repaired})


def _add_rules(connection: Connection, steps: dict[str, str], *, is_paced: bool) -> None:
    """Add constraints for new rows first, with a short lock; then check the old rows, which needs no strong lock."""
    with_lock_retries(
        connection,
        "coding_jobs: rules",
        lambda: _run(
            connection,
            f"""
        ALTER TABLE public.coding_jobs DROP CONSTRAINT IF EXISTS coding_jobs_complete_check;
        ALTER TABLE public.coding_jobs ADD CONSTRAINT coding_jobs_complete_check CHECK ({_IS_COMPLETE}) NOT VALID""",
        ),
    )
    _repair(connection, steps["repair"], is_paced=is_paced)  # rows that were inserted meanwhile
    _validate(connection, "coding_jobs_complete_check")

    def add() -> None:
        connection.execute("SELECT set_config('mobvibe.validate', 'later', true)")
        _run(connection, steps["rules"])
        _run(connection, "ALTER TABLE public.coding_jobs DROP CONSTRAINT coding_jobs_complete_check")

    with_lock_retries(connection, "coding_jobs: rules", add)
    rows = connection.execute(
        "SELECT c.conname FROM pg_catalog.pg_constraint c"
        " WHERE c.conrelid = 'public.coding_jobs'::regclass AND c.contype = 'c' AND NOT c.convalidated"
        " AND obj_description(c.oid, 'pg_constraint') LIKE 'mobvibe %%'"
    ).fetchall()
    for row in rows:
        _validate(connection, row["conname"])


def _validate(connection: Connection, constraint: str) -> None:
    text = f'ALTER TABLE public.coding_jobs VALIDATE CONSTRAINT "{constraint}"'
    with_lock_retries(connection, f"coding_jobs: {constraint}", lambda: _run(connection, text))


def _create_indexes(connection: Connection, table: str) -> None:
    """Create indexes without blocking writers. An invalid one, left by a run that was stopped, is made again."""
    for name, (unique, definition) in indexes().items():
        if not definition.startswith(f"public.{table} "):
            continue
        is_valid = _value(
            connection,
            "SELECT i.indisvalid FROM pg_catalog.pg_index i WHERE i.indexrelid = to_regclass('public.' || %(name)s)",
            {"name": name},
        )
        if is_valid:
            continue
        if is_valid is False:
            _in_the_background(connection, f"DROP INDEX CONCURRENTLY IF EXISTS public.{name}", name)
        _in_the_background(connection, f"CREATE {unique}INDEX CONCURRENTLY {name} ON {definition}", name)


def _in_the_background(connection: Connection, text: str, name: str) -> None:
    """CONCURRENTLY waits for each open transaction: after a time limit, fail and name the one that stays open."""
    connection.answer_seconds = ANSWER_SECONDS
    with _session_limits(connection):
        try:
            _run(connection, text)
        except (
            psycopg.errors.LockNotAvailable,
            psycopg.errors.QueryCanceled,
            psycopg.errors.DeadlockDetected,
        ) as error:
            raise MigrationError(
                f"The index {name} could not be made while jobs run ({first_line(error)}): "
                f"{in_the_way(connection, error)}. End that transaction, then run again: mobvibe migrate up"
            ) from error
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != name:
                raise
            _run(
                connection, f"DROP INDEX CONCURRENTLY IF EXISTS public.{name}"
            )  # an unfinished one would still refuse rows
            raise MigrationError(
                f"session_events has rows with the same session_id and seq (→ {_NO_NUMBER})"
            ) from error
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise MigrationError(f"The index {name} cannot be made: {first_line(error)}") from error


class _session_limits:  # noqa: N801 -- reads as a function where it is used
    """Set limits of the session, for a statement that cannot run in a transaction; restored afterwards."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        if not self._connection.is_pooled:
            self._before = self._connection.execute(
                "SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement"
            ).fetchone()
            self._connection.execute(
                "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false)",
                [_INDEX_LOCK_TIMEOUT, STATEMENT_TIMEOUT],
            )

    def __exit__(self, *_: object) -> None:
        if not self._connection.is_pooled and not self._connection.closed and self._before is not None:
            self._connection.execute(
                "SELECT set_config('lock_timeout', %(lock)s, false),"
                " set_config('statement_timeout', %(statement)s, false)",
                self._before,
            )


def _number(connection: Connection, set_default: str, *, is_paced: bool) -> None:
    """Number the waiting rows in the order of age. From the start, new rows get numbers after those."""

    def begin() -> int:
        waiting = int(_value(connection, _COUNT_WAITING))  # before the strong lock, because it reads them all
        _run(connection, set_default)
        last = int(
            _value(connection, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.coding_jobs_seq")
        )
        last_kept = last + waiting + _MORE_MEANWHILE
        _run(connection, "SELECT setval('public.coding_jobs_seq', %(last_kept)s)", {"last_kept": last_kept})
        return last

    place = with_lock_retries(connection, "coding_jobs: order", begin)
    size = _PACED_BATCH if is_paced else _BATCH
    while numbered := with_lock_retries(
        connection, "coding_jobs: order", partial(_change, connection, _NUMBER, {"place": place, "size": size})
    ):
        place += numbered
        if is_paced:
            time.sleep(_PACE_SECONDS)


def _run(connection: Connection, text: str, params: dict[str, Any] | None = None) -> int:
    """Run a statement from our files; returns how many rows it changed."""
    return connection.execute(text, params).rowcount


def _change(connection: Connection, text: str, params: dict[str, Any]) -> int:
    """As `_run`, without firing the host's triggers, if this role may: for them nothing has happened to the jobs."""
    _run(connection, sections()["quiet"])
    return _run(connection, text, params)


def _value(connection: Connection, text: str, params: dict[str, Any] | None = None) -> Any:
    row = connection.execute(text, params).fetchone()
    return None if row is None else next(iter(row.values()))

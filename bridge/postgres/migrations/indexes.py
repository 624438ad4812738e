"""Indexes of tables with rows, made and dropped beside the traffic."""

import psycopg

from bridge.postgres.connection import Connection
from bridge.postgres.errors import first_line
from bridge.postgres.migrations.batches import run, value
from bridge.postgres.migrations.files import indexes
from bridge.postgres.migrations.locks import ANSWER_SECONDS, STATEMENT_TIMEOUT, MigrationError, in_the_way

_INDEX_LOCK_TIMEOUT = "60s"  # CONCURRENTLY waits for open transactions, and no statement waits behind it
_NO_NUMBER = (
    "UPDATE public.session_events SET seq = NULL WHERE session_id IN (SELECT session_id FROM public.session_events"
    " WHERE seq IS NOT NULL GROUP BY session_id, seq HAVING count(*) > 1), which leaves them in the order of created_at"
)


def create_indexes(connection: Connection, table: str) -> None:
    """Create the bridge's indexes of a table without blocking writers."""
    for name, (unique, definition) in indexes().items():
        if definition.startswith(f"public.{table} "):
            create_index(connection, name, f"CREATE {unique}INDEX CONCURRENTLY {name} ON {definition}")


def create_index(connection: Connection, name: str, text: str, *, again: str = "mobvibe migrate up") -> None:
    """Run a CREATE INDEX CONCURRENTLY. An invalid index, left by a run that was stopped, is made again."""
    is_valid = value(
        connection,
        "SELECT i.indisvalid FROM pg_catalog.pg_index i WHERE i.indexrelid = to_regclass('public.' || %(name)s)",
        {"name": name},
    )
    if is_valid is False:
        drop_index(connection, name, again=again)
    if not is_valid:
        _in_the_background(connection, text, name, again)


def drop_index(connection: Connection, name: str, *, again: str = "mobvibe migrate up") -> None:
    _in_the_background(connection, f"DROP INDEX CONCURRENTLY IF EXISTS public.{name}", name, again)


def _in_the_background(connection: Connection, text: str, name: str, again: str) -> None:
    """CONCURRENTLY waits for each open transaction: after a time limit, fail and name the one that stays open."""
    connection.answer_seconds = ANSWER_SECONDS
    with _session_limits(connection):
        try:
            run(connection, text)
        except (
            psycopg.errors.LockNotAvailable,
            psycopg.errors.QueryCanceled,
            psycopg.errors.DeadlockDetected,
        ) as error:
            raise MigrationError(
                f"The index {name} could not be made while jobs run ({first_line(error)}): "
                f"{in_the_way(connection, error)}. End that transaction, then run again: {again}"
            ) from error
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != name:
                raise
            run(
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

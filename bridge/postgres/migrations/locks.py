"""Steps that need a lock for a moment: each gives up soon, names who blocks it, and tries again after longer rests."""

import logging
import re
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from bridge.errors import EXIT_REFUSED, BridgeError
from bridge.postgres.connection import Connection
from bridge.postgres.errors import first_line
from bridge.postgres.statements import statement

logger = logging.getLogger(__name__)
T = TypeVar("T")

_LOCK_TIMEOUT = "1500ms"  # while we wait, every later statement waits behind us
STATEMENT_TIMEOUT = "30min"  # for what reads a large table from end to end
ANSWER_SECONDS = 1900.0  # longer than that: Postgres ends the statement first, and says so
TRIES = 10  # about a minute and a half with the rests between them: a transaction of an application has ended by then
# Short at first, as most locks are short; then longer, so that statements that waited behind us can run meanwhile.
_FIRST_REST_SECONDS, _REST_MOST_SECONDS = 0.5, 15.0
_IN_THE_WAY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)


class MigrationError(BridgeError):
    """A migration failed; the transaction of its step was rolled back."""

    exit_code = EXIT_REFUSED


def limited(connection: Connection) -> None:
    """Limit the waits of this transaction. The settings end with it: another client may get the session next."""
    connection.answer_seconds = ANSWER_SECONDS
    connection.execute(
        "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
        " set_config('idle_in_transaction_session_timeout', '0', true)",
        [_LOCK_TIMEOUT, STATEMENT_TIMEOUT],
    )


def with_lock_retries(
    connection: Connection, name: str, step: Callable[[], T], *, tries: int = TRIES, again: str = "mobvibe migrate up"
) -> T:
    """Run one step in its own transaction, and again if a lock or a deadlock stopped it. Raises MigrationError.

    `again` is the command to repeat after an error.
    """
    rest = _FIRST_REST_SECONDS
    for attempt in range(1, tries + 1):
        try:
            with connection.transaction():
                limited(connection)
                return step()
        except _IN_THE_WAY as error:
            kind = "a deadlock with" if isinstance(error, psycopg.errors.DeadlockDetected) else "a lock that is held by"
            why = f"{kind} {in_the_way(connection, error)}"
            if attempt == tries:
                raise MigrationError(
                    f"{name} could not be done: {why}. It was rolled back and tried {tries} times; what came before "
                    f"it stays, and does no harm. End that transaction, then run again: {again}"
                ) from error
            logger.warning("%s waits for %s, try %d of %d in %.1f s", name, why, attempt + 1, tries, rest)
            time.sleep(rest)
            rest = min(rest * 2, _REST_MOST_SECONDS)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise MigrationError(f"{name} failed and was rolled back: {first_line(error)}") from error
    raise AssertionError("unreachable")


def in_the_way(connection: Connection, error: psycopg.Error) -> str:
    """A text that names who blocked a step: the processes of a deadlock, else those with locks on our tables now."""
    rows = connection.execute(statement("lock_holders"), {"pids": _others_in(error)}).fetchall()
    return (
        "; ".join(
            f"process {row['pid']} ({row['name']}, role {row['role']}, {row['state']}, for {row['seconds']} s)"
            for row in rows
        )
        or "a process that has ended by now"
    )


def _others_in(error: psycopg.Error) -> list[int]:
    """The other processes of a deadlock. The error's detail has a line for each process, ours first."""
    if not isinstance(error, psycopg.errors.DeadlockDetected):
        return []
    lines = (error.diag.message_detail or "").splitlines()[1:]
    return [int(found[0]) for line in lines if (found := re.search(r"\d+", line))]

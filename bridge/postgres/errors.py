"""Translates errors of Postgres and its driver into ours, whose class says whether and how to try again."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bridge.errors import (
    BridgeError,
    NoConnectionFreeError,
    PostgresBusyError,
    PostgresRefusedError,
    PostgresSetupError,
    PostgresUnavailableError,
    PostgresUnfitError,
    ReadOnlyError,
    RightsError,
    SchemaError,
    UnfitSessionError,
)
from bridge.postgres.connect_errors import problem_of

# By SQLSTATE. With any other one the statement failed, and its items are tried again one by one.
# Connection errors, wrong password or database, resources, operator intervention, system errors: each may pass.
_PASSING = ("08", "28", "3D", "53", "57", "58")
# A plan from before a migration; a session in which the statement was not prepared, or was prepared by another client.
# The latter two are caused by a pooler, and come again as long as statements are prepared.
_UNFIT = ("0A000", "26000", "42P05")
POOLED = ("26000", "42P05")
# A table that is published without a replica identity, a host's trigger whose statement is no longer valid.
_SET_UP = ("55000", "42")
# Links, sessions, rights, names, conflicts with other transactions: the next row would have the same error.
_OF_NO_ROW = (*_PASSING, *_UNFIT, "0A", "25", "26", "40", "42", "55", "XX")
_OF_NO_TRIGGER = ("25", "57")  # a read-only database, a statement that took too long
# When no connection is free, the driver reports no SQLSTATE, and poolers have none for it. So these are the texts of
# Postgres, PgBouncer, Supavisor, Odyssey and RDS Proxy.
_NONE_FREE = re.compile(
    "too many connections|too many clients|connection slots are reserved|no more connections allowed|query_wait_timeout"
    "|max clients reached|max client connections reached|too many active clients"
    "|waiting to acquire database connection",
    re.IGNORECASE,
)
_MAY_BE_THE_POOLERS = (None, "08", "53", "58", "XX")  # first two characters: any other is an error of the statement
# Any statement may fail so, and the next one may succeed: conflicts, locks, resources, a full queue, a shutdown.
_FOR_NOW = ("25", "40", "53", "54", "55006", "55P03", "57")
_NOTIFY = "async.c"  # source of the error of a full notification queue: a limit, but not caused by the data


def first_line(error: BaseException) -> str:
    """The first line of the error's text: without hints and stack."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def translate_postgres_errors() -> Iterator[None]:
    """Raise our error for each of the driver's, of the class that says what the caller can do."""
    try:
        yield
    except (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise SchemaError(
            f"The database is not set up for the bridge ({first_line(error)}). Run: mobvibe migrate up"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise RightsError(
            f"{first_line(error)}. Grant it to the role in DATABASE_URL, or use the owner's role"
        ) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:  # a standby before it takes over, or a provider's pause
        raise ReadOnlyError(f"{first_line(error)}; mobvibe doctor says why") from error
    except psycopg.errors.QueryCanceled as error:
        raise PostgresBusyError(first_line(error)) from error
    except psycopg.Error as error:
        if _is_for_lack_of_connections(error):
            advice = "mobvibe doctor says how many are needed and free"
            raise NoConnectionFreeError(f"{first_line(error)}; {advice}") from error
        if error.sqlstate is None and (problem := problem_of(first_line(error))):
            kind = PostgresUnfitError if problem.is_tls else PostgresUnavailableError
            raise kind(f"{first_line(error)}; {problem.advice}") from error
        raise _kind(error)(first_line(error)) from error


def may_be_of_a_row(error: BaseException) -> bool:
    """Whether one row may be the cause, for example because it violates a host's constraint: others may succeed.

    A host's trigger inside our functions may raise any error: the functions name the row when they try each by itself
    (refusals.sql).
    """
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None or cause.sqlstate.startswith(_OF_NO_TRIGGER):
        return False
    return bool(cause.diag.context) or not cause.sqlstate.startswith(_OF_NO_ROW)


def may_be_of_an_item(error: BridgeError) -> bool:
    """Whether an error that looks general may concern one row only: a host's trigger may lack a right or a table.

    To find out, try other rows: if they succeed, it concerns one row.
    """
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None:
        return isinstance(error, RightsError | SchemaError)
    if cause.sqlstate.startswith(_FOR_NOW):
        return False
    return bool(cause.diag.context) or isinstance(error, RightsError | SchemaError | PostgresBusyError)


def _is_for_lack_of_connections(error: psycopg.Error) -> bool:
    kind = error.sqlstate and error.sqlstate[:2]
    return kind in _MAY_BE_THE_POOLERS and bool(error.sqlstate == "53300" or _NONE_FREE.search(str(error)))


def _kind(error: psycopg.Error) -> type[PostgresUnavailableError | PostgresRefusedError]:
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return PostgresUnavailableError if lost else PostgresRefusedError
    if state in _UNFIT:
        return UnfitSessionError
    if state.startswith(_PASSING):
        return PostgresUnavailableError
    # Bad values, violated constraints, a limit of the server; a host's trigger, which may use an SQLSTATE of its own.
    if not state.startswith(_OF_NO_ROW) and error.diag.source_file != _NOTIFY:
        return PostgresRefusedError
    return PostgresSetupError if state.startswith(_SET_UP) else PostgresBusyError

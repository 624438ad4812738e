"""Errors of Postgres and its driver as ours: the class says whether, and how, to try again."""

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
    ReadOnlyError,
    RightsError,
    SchemaError,
    UnfitSessionError,
)

# By SQLSTATE. Any other one: the statement failed, and its items are tried again one by one.
# Connection trouble, wrong password or database, resources, operator intervention, system errors: each may pass.
_PASSING = ("08", "28", "3D", "53", "57", "58")
# A plan made before a migration; another session than the one that statements were prepared in. The last is a pooler's
# doing, and goes on as long as statements are prepared.
_UNFIT = ("0A000", "26000", "42P05")
POOLED = ("26000", "42P05")
# A table that is published without a replica identity, a host's trigger whose statement is none any more.
_SET_UP = ("55000", "42")
# Links, sessions, rights, names, conflicts with other transactions: nothing that the next row would not meet as well.
_OF_NO_ROW = (*_PASSING, *_UNFIT, "0A", "25", "26", "40", "42", "55", "XX")
_OF_NO_TRIGGER = ("25", "57")  # a database that is read-only, a statement that took too long
# The driver has no SQLSTATE of a connection that was refused, and poolers have none for this: Postgres, PgBouncer,
# Supavisor, Odyssey and RDS Proxy, by their texts.
_NONE_FREE = re.compile(
    "too many connections|too many clients|connection slots are reserved|no more connections allowed|query_wait_timeout"
    "|max clients reached|max client connections reached|too many active clients"
    "|waiting to acquire database connection",
    re.IGNORECASE,
)
_MAY_BE_THE_POOLERS = (None, "08", "53", "58", "XX")  # the first two characters: anything else is a statement's own
# What any statement may meet, and the next one may not: conflicts, locks, resources, a full queue, a shutdown.
_FOR_NOW = ("25", "40", "53", "54", "55006", "55P03", "57")
_NOTIFY = "async.c"  # where a full queue of notifications comes from: a limit, but not of the data


def first_line(error: BaseException) -> str:
    """What went wrong, without the driver's hints and stack."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def translate_postgres_errors() -> Iterator[None]:
    """Raise ours for each error of the driver: what the caller can do about it decides the class."""
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
        raise _kind(error)(first_line(error)) from error


def may_be_of_a_row(error: BaseException) -> bool:
    """Whether one row may be the cause, such as a host's constraint that it breaks: other rows may get through.

    Inside our functions a host's trigger may say anything: they tell when each row is tried by itself (refusals.sql).
    """
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None or cause.sqlstate.startswith(_OF_NO_TRIGGER):
        return False
    return bool(cause.diag.context) or not cause.sqlstate.startswith(_OF_NO_ROW)


def may_be_of_an_item(error: BridgeError) -> bool:
    """Whether it may be one row's alone though it looks like everybody's: a host's trigger may lack a right or a table.

    Only whether others get through can tell.
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
    # Bad values, broken constraints, a limit of the server; a host's trigger that says no, in a class of its own maybe.
    if not state.startswith(_OF_NO_ROW) and error.diag.source_file != _NOTIFY:
        return PostgresRefusedError
    return PostgresSetupError if state.startswith(_SET_UP) else PostgresBusyError

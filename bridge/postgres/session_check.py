"""The address for LISTEN and session locks: whether it serves, and what is lost where sessions are shared."""

import logging
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from bridge.addresses import host_and_port
from bridge.errors import PostgresUnavailableError, RightsError, SettingsError
from bridge.postgres.connection import Connection
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.link import Link
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.pooling import keeps_session
from bridge.postgres.read_only import read_only
from bridge.postgres.startup_checks import mark_of_database

logger = logging.getLogger(__name__)

# What needs a session, and what happens without one.
LOST_WITHOUT_SESSIONS = (
    "new jobs wait for the poll (POLL_INTERVAL_MS), a cancel or drain for the next heartbeat (5 s), and the jobs of a "
    "killed worker for the end of its lease (LEASE_MS)"
)
SET_LISTEN = "set LISTEN_DATABASE_URL to a direct address or a pooler in session mode"
_TIMEOUT_MS = 2_000  # of a check that only warns when nothing answers
_LISTEN = "LISTEN_DATABASE_URL"


def check_session_address(dsn: str, session_dsn: str) -> None:
    """Warn in one line about what is lost, if sessions at `session_dsn` are shared or nobody answers there.

    Raises SettingsError for a standby, another database than at `dsn`, or a pooler in statement mode.
    """
    name = name_of(dsn, session_dsn)
    with closing(Link(session_dsn, "check", statement_timeout_ms=_TIMEOUT_MS)) as link:
        try:
            keeps = has_sessions(dsn, link)
        except PostgresUnavailableError as error:
            where = host_and_port(session_dsn, 5432)
            logger.warning("%s %s at %s (%s): meanwhile %s", name, error.condition, where, error, LOST_WITHOUT_SESSIONS)
            return
    if not keeps:
        logger.warning("%s is a pooler in transaction mode: %s; %s", name, LOST_WITHOUT_SESSIONS, SET_LISTEN)


def name_of(dsn: str, session_dsn: str) -> str:
    """The variable that holds the address for what needs a session."""
    return "DATABASE_URL" if session_dsn == dsn else _LISTEN


def has_sessions(dsn: str, link: Link) -> bool:
    """Whether `link`, by the address for sessions, keeps its session. True if that is not known.

    Raises as `check_session_address`, and PostgresUnavailableError.
    """
    if link.dsn != dsn:
        _check_same_database(dsn, link)
    if link.connection.is_pooled:
        _check_transactions(link.connection)
    return keeps_session(link.connection) is not False


def _check_same_database(dsn: str, link: Link) -> None:
    with _naming_it():
        found = read_only(link.call("read_only"))
        rows = unless_missing(lambda: link.call("database_mark")) or []
    if found:
        raise SettingsError(f"{_LISTEN} takes no writes ({found.why}): it must be the primary's")
    if "".join(row["mark"] for row in rows) != mark_of_database(dsn):
        raise SettingsError(f"{_LISTEN} is another database than DATABASE_URL: it must be the same one")


@contextmanager
def _naming_it() -> Iterator[None]:
    """Errors of the address, or of the role in it, name this variable."""
    try:
        yield
    except (SettingsError, RightsError) as error:
        raise type(error)(re.sub(r"\bDATABASE_URL", _LISTEN, str(error))) from error


def _check_transactions(connection: Connection) -> None:
    try:
        with translate_postgres_errors(), connection.transaction():
            connection.execute("SELECT 1")
    except PostgresUnavailableError as error:
        if not isinstance(error.__cause__, psycopg.errors.ProtocolViolation):
            raise
        raise SettingsError(
            "The address is a pooler in statement mode, which has no transactions: use one in transaction mode, with "
            "LISTEN_DATABASE_URL, or in session mode"
        ) from error

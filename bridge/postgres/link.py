"""Postgres: one connection for one thread."""

import logging
import re
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row, tuple_row

from bridge.errors import SettingsError, StoreUnavailableError, UnfitSessionError
from bridge.postgres.connection import Connection, found_dead
from bridge.postgres.errors import POOLED, translate_postgres_errors
from bridge.postgres.refused_rows import RefusedRows
from bridge.postgres.statements import statement
from bridge.runtime.watchdog import WATCHDOG

logger = logging.getLogger(__name__)

Params = Mapping[str, Any]

# A link that died without a word is noticed after 5 + 3 * 2 s, or 10 s after data that nobody acknowledged.
_CONNECT_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

# The same for the server, which otherwise keeps a session whose client is gone, its locks too, for two hours. Where the
# link is no TCP, or the server's system knows no such thing, it takes no notice.
_SERVER_DEFAULTS = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

# A host may have set these otherwise, for a role or a database: what we and the driver read and write relies on them,
# and the functions on seeing what others commit meanwhile, and on being heard. Links that rest or wait are none to end.
# Not default_transaction_read_only: who sets it means us too. The other settings change nothing that we say or read.
_SESSION = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": "1",
    "default_transaction_isolation": "read committed",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}

# A row may be held by somebody else for as long as they like; others must not wait behind it.
_LOCK_TIMEOUT_MS = 2_000
# Our statements take milliseconds: one that takes this long hangs. Several waits for a lock fit into it, and it ends
# before a third of the default lease is over.
_STATEMENT_TIMEOUT_MS = 8_000
_answered_at: dict[str, float] = {}  # by address, when a link of this process had its last answer
_ANSWER_MARGIN_SECONDS = 1.5  # what an answer may take beyond the time that its statement has


def connect_options(dsn: str, name: str) -> dict[str, Any]:
    """What to connect with: autocommit, rows as dicts, and `mobvibe <name>` in pg_stat_activity.

    Raises SettingsError for an address the driver cannot read.
    """
    try:
        options: dict[str, Any] = {**_CONNECT_DEFAULTS, **conninfo_to_dict(dsn)}
    except psycopg.ProgrammingError as error:
        if option := re.match(r'invalid URI query parameter: "(\w{1,40})"', str(error)):
            raise SettingsError(
                f"DATABASE_URL has the option {option[1]!r}, which Postgres does not know: leave it out"
            ) from None
        example = "postgresql://user:password@host:5432/name"
        raise SettingsError(f"DATABASE_URL cannot be read; expected {example}") from None
    return options | {"application_name": f"mobvibe {name}", "autocommit": True, "row_factory": dict_row}


def prepare(connection: Connection, statement_timeout_ms: int) -> None:
    """No statement, no wait for a lock and no dead link may take for ever, and values come as we read them.

    Behind a pooler the server's process is another than the driver was told of. Limits set there, and statements
    prepared there, would meet the transactions of other clients: only the bound on the answer is left then. Settings
    are those that the pooler's server gives. What the server is too old to know is left out.
    """
    connection.answer_seconds = statement_timeout_ms / 1000 + _ANSWER_MARGIN_SECONDS
    limits = {
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(min(statement_timeout_ms, _LOCK_TIMEOUT_MS)),
    }
    session = _SERVER_DEFAULTS | _SESSION | limits
    cursor = connection.execute(
        "SELECT set_config(s.name, s.value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"
        " WHERE pg_backend_pid() = %s AND current_setting(s.name, true) IS NOT NULL",
        [list(session), list(session.values()), connection.info.backend_pid],
    )
    connection.is_served = True
    if cursor.rowcount == 0:
        connection.is_pooled = True
        connection.prepare_threshold = None


def connect(dsn: str, name: str, *, statement_timeout_ms: int = _STATEMENT_TIMEOUT_MS) -> Connection:
    """Open a connection.

    Raises PostgresUnavailableError, NoConnectionFreeError where that is why, SettingsError for an unreadable address.
    """
    options = connect_options(dsn, name)
    with translate_postgres_errors():
        connection = _log_in(dsn, options)
        try:
            prepare(connection, statement_timeout_ms)
        except BaseException:
            connection.close()
            raise
    return connection


def _log_in(dsn: str, options: Mapping[str, Any]) -> Connection:
    began = time.monotonic()
    try:
        connection: Connection = Connection.connect(**options)
    except psycopg.errors.ConnectionTimeout as error:
        waited = f"no answer to the log-in for {options['connect_timeout']} s"
        if _answered_at.get(dsn, 0.0) > began:
            raise psycopg.errors.TooManyConnections(f"{waited}, while other links of this process work") from error
        raise psycopg.errors.ConnectionTimeout(
            f"{waited}: the way there is cut, Postgres hangs, or a pooler has no connection free"
        ) from error
    return connection


class Link:
    """A connection for one thread: opened on first use, opened anew after a loss.

    A call that fails is not repeated here. Whether saying it twice is safe is known where it is called.
    """

    def __init__(self, dsn: str, name: str, *, statement_timeout_ms: int = _STATEMENT_TIMEOUT_MS) -> None:
        self.dsn = dsn
        self.refused = RefusedRows()
        self._name = name
        self._timeout_ms = statement_timeout_ms
        self._connection: Connection | None = None
        self._prepares = True
        self._has_news = False
        self._heard_at = 0.0
        self.opened_at = 0.0  # monotonic; how long this link has lasted matters to recovery
        self.opening_seconds = 0.0

    @property
    def connection(self) -> Connection:
        if self._connection is not None and self._is_doubtful(self._connection):
            self.close()
        if self._connection is None or self._connection.closed:
            began = time.monotonic()
            self._connection = connect(self.dsn, self._name, statement_timeout_ms=self._timeout_ms)
            if not self._prepares:
                self._connection.prepare_threshold = None
            self._connection.add_notify_handler(self._on_note)
            self._connection.add_notice_handler(lambda notice: self.refused.on_notice(notice.message_primary))
            self._has_news = False
            self.opened_at = self._heard_at = time.monotonic()
            self.opening_seconds = self.opened_at - began
        return self._connection

    def _is_doubtful(self, connection: Connection) -> bool:
        if (
            not found_dead
            or connection.closed
            or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE
        ):
            return False
        return found_dead.get((connection.info.host, connection.info.port), 0.0) > self._heard_at

    def _on_note(self, _note: psycopg.Notify) -> None:
        self._has_news = True

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def has_news(self) -> bool:
        """Whether a notification came since the last time, or the link's end, which closes it here. Asks nobody."""
        if not self.is_open:
            return True
        assert self._connection is not None
        wire, poll = self._connection.pgconn, select.poll()
        poll.register(wire.socket, select.POLLIN)
        while poll.poll(0):  # the last words first, then the end
            try:
                wire.consume_input()
            except psycopg.OperationalError:
                self.close()
                return True
            while wire.notifies():
                self._has_news = True
        news, self._has_news = self._has_news, False
        return news

    def call(self, name: str, params: Params | None = None) -> list[DictRow]:
        """Run the statement of that name; its rows, if it returns any."""
        with self._kept_or_closed():
            cursor = self.connection.execute(statement(name), params)
            self._heard_at = _answered_at[self.dsn] = time.monotonic()
            return cursor.fetchall() if cursor.description else []

    def tuples(self, name: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """The same, the rows as tuples: for many rows a dict each is a good part of the work."""
        with self._kept_or_closed(), self.connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(statement(name), params).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction; calls inside it belong to it."""
        with self._kept_or_closed(), self.connection.transaction():
            yield self.connection

    @contextmanager
    def _kept_or_closed(self) -> Iterator[None]:
        WATCHDOG.turn()
        try:
            with translate_postgres_errors():
                yield
        except UnfitSessionError as error:
            if isinstance(error.__cause__, psycopg.Error) and error.__cause__.sqlstate in POOLED:
                self._prepares = False
            self.close()
            raise
        except StoreUnavailableError:
            if self._connection is not None and (self._connection.broken or self._connection.closed):
                self.close()
            raise
        except BaseException:
            # An interrupt in mid-call leaves the protocol in an unknown place: never use that link again.
            if (
                self._connection is not None
                and self._connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE
            ):
                self.close()
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

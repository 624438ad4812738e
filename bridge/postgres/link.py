"""A link: one connection to Postgres, for one thread."""

import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import DictRow, tuple_row

from bridge.errors import StoreUnavailableError, UnfitSessionError
from bridge.postgres.connect import STATEMENT_TIMEOUT_MS, answered_at, connect
from bridge.postgres.connection import Connection, found_dead
from bridge.postgres.errors import POOLED, translate_postgres_errors
from bridge.postgres.refused_rows import RefusedRows
from bridge.postgres.statements import statement
from bridge.runtime.watchdog import WATCHDOG

Params = Mapping[str, Any]


class Link:
    """A connection for one thread: opened on first use, and again after a loss.

    A call that fails is not repeated here: only its caller knows whether that is safe.
    """

    def __init__(self, dsn: str, name: str, *, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> None:
        self.dsn = dsn
        self.refused = RefusedRows()
        self._name = name
        self._timeout_ms = statement_timeout_ms
        self._connection: Connection | None = None
        self._prepares = True
        self._has_news = False
        self._last_answer_at = 0.0
        self.opened_at = 0.0  # monotonic: what broke a link that is young may have broken those of workers
        self.opening_seconds = 0.0

    @property
    def connection(self) -> Connection:
        if self._connection is not None and self._is_doubtful(self._connection):
            self.close()
        if self._connection is None or self._connection.closed:
            began = time.monotonic()
            self._connection = self._connect()
            if not self._prepares:
                self._connection.prepare_threshold = None
            self._connection.add_notify_handler(self._on_note)
            self._connection.add_notice_handler(lambda notice: self.refused.on_notice(notice.message_primary))
            self._has_news = False
            self.opened_at = self._last_answer_at = time.monotonic()
            self.opening_seconds = self.opened_at - began
        return self._connection

    def _connect(self) -> Connection:
        return self._connect_to(self.dsn)

    def _connect_to(self, dsn: str) -> Connection:
        return connect(dsn, self._name, statement_timeout_ms=self._timeout_ms)

    def _is_doubtful(self, connection: Connection) -> bool:
        if (
            not found_dead
            or connection.closed
            or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE
        ):
            return False
        return found_dead.get((connection.info.host, connection.info.port), 0.0) > self._last_answer_at

    def _on_note(self, _note: psycopg.Notify) -> None:
        self._has_news = True

    def open(self) -> None:
        """Open the connection unless it is open. One that may be dead is replaced."""
        _ = self.connection

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def has_news(self) -> bool:
        """Whether a notification came since the last time, or the link ended: then it is closed here. Sends nothing."""
        if not self.is_open:
            return True
        assert self._connection is not None
        wire, poll = self._connection.pgconn, select.poll()
        poll.register(wire.socket, select.POLLIN)
        while poll.poll(0):  # first data that has arrived, then the end of the link
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
            connection = self.connection
            cursor = connection.execute(statement(name), params)
            self._last_answer_at = answered_at[connection.dsn] = time.monotonic()
            return cursor.fetchall() if cursor.description else []

    def tuples(self, name: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """As `call`, but rows are tuples: with many rows, making a dict for each is a large part of the work."""
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
            # An interrupt during a call leaves the protocol in an unknown state: never use that link again.
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

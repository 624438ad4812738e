"""A few Postgres connections for many threads, for the web process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg_pool import ConnectionPool, PoolTimeout

from bridge.errors import PostgresUnavailableError, UnfitSessionError
from bridge.postgres.connect import connect_options, prepare
from bridge.postgres.connection import Connection
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.link import Params
from bridge.postgres.statements import statement

logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it would log an absent Postgres every second

# Of a request, whose sender waits: first for a free connection, then for the statement, which takes milliseconds.
_TIMEOUT_SECONDS, _STATEMENT_TIMEOUT_MS = 2.0, 2_000
_IDLE_SECONDS = 60.0  # then a connection is closed, so that a burst of requests does not keep them from others


class Pool:
    """Opens no connection until it is used. Waits at most `timeout_seconds` for one."""

    def __init__(
        self,
        dsn: str,
        name: str,
        *,
        size: int = 1,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        statement_timeout_ms: int = _STATEMENT_TIMEOUT_MS,
    ) -> None:
        self._reason: PostgresUnavailableError | None = None  # why the last try to open one failed
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            kwargs=connect_options(dsn, name) | {"connect_timeout": str(max(2, int(timeout_seconds)))},
            connection_class=self._noting(),
            min_size=0,
            max_size=size,
            max_idle=_IDLE_SECONDS,
            timeout=timeout_seconds,
            reconnect_timeout=timeout_seconds,
            configure=lambda connection: self._configure(connection, statement_timeout_ms),
            check=ConnectionPool.check_connection,
            open=False,
            name=name,
        )

    def _noting(self) -> type[Connection]:
        """A class of connections that note here why one cannot be opened: psycopg's pool would only log it."""
        noted = self._noted

        class NotingConnection(Connection):
            @classmethod
            def connect(cls, *args: Any, **options: Any) -> Any:
                with noted():
                    return super().connect(*args, **options)

        return NotingConnection

    def _configure(self, connection: Connection, statement_timeout_ms: int) -> None:
        with self._noted():
            prepare(connection, statement_timeout_ms)
        self._reason = None

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            with translate_postgres_errors():
                yield
        except PostgresUnavailableError as error:
            self._reason = error
            raise

    def call(self, name: str, params: Params | None = None) -> list[dict[str, Any]]:
        """Run the statement of that name in a transaction of its own; its rows, if it returns any."""
        with self.connection() as connection:
            return self.on(connection, name, params)

    @staticmethod
    def on(connection: Connection, name: str, params: Params | None = None) -> list[dict[str, Any]]:
        """As `call`, on a given connection and in the transaction that it has open, if any."""
        cursor = connection.execute(statement(name), params)
        return cursor.fetchall() if cursor.description else []

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection in autocommit mode: the caller opens a transaction on it if it needs one."""
        self._pool.open()  # harmless when it is open
        with translate_postgres_errors():
            try:
                with self._pool.connection() as connection:
                    try:
                        with translate_postgres_errors():
                            yield connection
                    except UnfitSessionError:
                        connection.close()  # so that the pool does not keep it
                        raise
            except PoolTimeout as error:
                if self._reason is not None:
                    raise type(self._reason)(str(self._reason)) from error
                raise PostgresUnavailableError("no connection to Postgres in time") from error

    def close(self) -> None:
        self._pool.close()

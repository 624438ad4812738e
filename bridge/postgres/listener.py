"""LISTEN on a connection of its own, and a probe that it still works."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql

from bridge.errors import PostgresUnavailableError, StoreUnavailableError
from bridge.postgres.connect import connect
from bridge.postgres.connection import Connection
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.pooling import keeps_session
from bridge.runtime.subscription import STOP_CHECK_SECONDS, Subscription
from bridge.runtime.watchdog import WATCHDOG

logger = logging.getLogger(__name__)

PROBE_SECONDS = 5.0  # until a dead link is noticed, jobs only start later: the poll finds them
_ECHO_SECONDS = 4.0  # less than PROBE_SECONDS; a busy server may be late with a notification
# Behind a pooler each try may get the right session. Limited, because the process waits for it before it ends.
_UNLISTEN_TRIES, _UNLISTEN_REST_SECONDS = 5, 0.1
_STATEMENT_TIMEOUT_MS = 3_000  # shorter than _ECHO_SECONDS: who does not take LISTEN or the probe will not echo it
_SHARED_REST_SECONDS = 60.0  # a pooler in transaction mode remains one until somebody changes its configuration
_NEEDS_A_SESSION = (
    "LISTEN needs a direct address or a pooler in session mode (LISTEN_DATABASE_URL), not one in transaction mode"
)


class Listener(Subscription):
    """Calls back for every notification on `channel`, and once with "" whenever some may have been missed.

    So it does for each channel of `also`, with the callback given there.

    Only speed depends on it: the poll finds the same jobs later. Every PROBE_SECONDS the session sends itself a
    notification and must receive it. Reason: a link may die without an error, which looks the same as a channel without
    notifications. So does a pooler that forwards none.
    """

    # Each try costs Postgres a process, and the poll finds the jobs meanwhile.
    least_rest_seconds, most_rest_seconds = 0.1, 5.0
    failed_text = "The listener failed and starts again"

    def __init__(
        self,
        dsn: str,
        channel: str,
        callback: Callable[[str], None],
        also: Mapping[str, Callable[[str], None]] | None = None,
    ) -> None:
        super().__init__(f"listen {channel}")
        self._dsn = dsn
        self._channel = channel
        self._callbacks = {channel: callback, **(also or {})}
        self.error: StoreUnavailableError | None = None  # why it does not listen now

    def _receive(self) -> None:
        connection = connect(self._dsn, "listen", statement_timeout_ms=_STATEMENT_TIMEOUT_MS)
        try:
            self._check_session(connection)
            self._listen(connection)
        finally:
            connection.close()

    def _check_session(self, connection: Connection) -> None:
        """Raise PostgresUnavailableError behind a pooler in transaction mode: there LISTEN would stay with others."""
        shared = keeps_session(connection) is False
        self.most_rest_seconds = _SHARED_REST_SECONDS if shared else type(self).most_rest_seconds
        if shared:
            raise PostgresUnavailableError(_NEEDS_A_SESSION)

    def _lost(self, error: StoreUnavailableError, *, is_new: bool) -> None:
        self.error = error
        if is_new:
            logger.warning("LISTEN is lost, polling meanwhile", extra={"channel": self._channel, "reason": str(error)})

    def _listen(self, connection: Connection) -> None:
        echo = f"mobvibe_echo_{uuid4().hex}"
        with translate_postgres_errors(), connection.transaction():
            session = _session(connection)
            connection.execute(self._on_all("LISTEN {}", echo))
        try:
            self._probe(connection, echo)
            self.error = None
            if not self._stopping.is_set():
                self.subscribed.set()
                logger.debug("Listening", extra={"channel": self._channel})
                for callback in self._callbacks.values():
                    callback("")  # after LISTEN: the scan that it causes then misses nothing
            while not self._stopping.is_set():
                self._pass_on(connection, PROBE_SECONDS)
                self._probe(connection, echo)
        finally:
            if connection.is_pooled:
                self._unlisten(connection, echo, session)

    def _unlisten(self, connection: Connection, echo: str, session: int) -> None:
        """UNLISTEN. Behind a pooler the session stays open, and we may now be given another one: then try again.

        In another session nothing is changed: another client may listen there.
        """
        with suppress(psycopg.Error):
            for _ in range(_UNLISTEN_TRIES):
                with connection.transaction():
                    if _session(connection) == session:
                        connection.execute(self._on_all("UNLISTEN {}", echo))
                        return
                time.sleep(_UNLISTEN_REST_SECONDS)

    def _on_all(self, text: LiteralString, echo: str) -> sql.Composed:
        return sql.SQL("; ").join(sql.SQL(text).format(sql.Identifier(name)) for name in (*self._callbacks, echo))

    def _pass_on(self, connection: Connection, seconds: float) -> None:
        """Call back for what arrives within `seconds`; ends early when asked to stop."""
        with translate_postgres_errors():
            for _ in range(max(1, int(seconds / STOP_CHECK_SECONDS))):
                WATCHDOG.turn()
                for note in connection.notifies(timeout=STOP_CHECK_SECONDS):
                    self._callbacks.get(note.channel, _ignore)(note.payload)
                if self._stopping.is_set():
                    return

    def _probe(self, connection: Connection, echo: str) -> None:
        """Send a notification to this session and wait for it. Ends early when asked to stop."""
        token, deadline = uuid4().hex, time.monotonic() + _ECHO_SECONDS
        with translate_postgres_errors():
            connection.execute("SELECT pg_notify(%s, %s)", [echo, token])
            while time.monotonic() < deadline and not self._stopping.is_set():
                for note in connection.notifies(timeout=STOP_CHECK_SECONDS):
                    if note.channel in self._callbacks:
                        self._callbacks[note.channel](note.payload)
                    elif note.payload == token:
                        return
        if not self._stopping.is_set():
            raise PostgresUnavailableError(
                f"this connection does not receive its own notifications: {_NEEDS_A_SESSION}"
            )


def _ignore(_payload: str) -> None:
    """The echo of an earlier probe that came late."""


def _session(connection: Connection) -> int:
    """The process id of the server's session. Behind a pooler the next transaction may be in another one."""
    row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
    assert row is not None
    return int(row["pid"])

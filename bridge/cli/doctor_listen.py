"""The doctor's check of the address for LISTEN and session locks: poolers, and whether notifications arrive."""

import threading
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

from bridge.addresses import host_and_port
from bridge.cli.finding import STATEMENT_TIMEOUT_MS, Finding
from bridge.errors import BridgeError, NoConnectionFreeError
from bridge.postgres.connect import connect
from bridge.postgres.errors import translate_postgres_errors
from bridge.postgres.link import Link
from bridge.postgres.listener import Listener
from bridge.postgres.session_check import (
    LOST_WITHOUT_SESSIONS,
    SET_LISTEN,
    has_sessions,
    name_of,
)

_CHANNEL = "mobvibe_doctor"
_SUBSCRIBED_SECONDS = 6.0  # a log-in may take five (connect_timeout), and its LISTEN a moment
_ARRIVAL_SECONDS = 3.0  # a notification arrives in milliseconds, also from a distant server


def examine_listen(dsn: str, session_dsn: str) -> Iterator[Finding]:
    """Whether what needs a session works at `session_dsn`; other calls go to `dsn`. Raises NoConnectionFreeError."""
    name = name_of(dsn, session_dsn)
    with closing(Link(session_dsn, "doctor", statement_timeout_ms=STATEMENT_TIMEOUT_MS)) as link:
        try:
            keeps_session, is_pooled = has_sessions(dsn, link), link.connection.is_pooled
        except NoConnectionFreeError:
            raise
        except BridgeError as error:
            yield Finding("listen", "fail", f"{name}, {host_and_port(session_dsn, 5432)}: {error}", f"correct {name}")
            return
    if not keeps_session:
        yield Finding("listen", "warn", f"{name} is a pooler in transaction mode: {LOST_WITHOUT_SESSIONS}", SET_LISTEN)
        return
    if is_pooled or session_dsn != dsn:
        kind = "a pooler in session mode" if is_pooled else "direct"
        yield Finding("sessions", "ok", f"{name}: {kind}")
    yield _listen(dsn, session_dsn)


def _listen(dsn: str, session_dsn: str) -> Finding:
    token, arrived = uuid4().hex, threading.Event()
    listener = Listener(session_dsn, _CHANNEL, lambda payload: arrived.set() if payload == token else None)
    listener.start()
    works = listener.subscribed.wait(_SUBSCRIBED_SECONDS)
    if works:
        # Sent from another connection, by the address of those who insert: a session may receive its own notification
        # although a pooler does not forward those of others.
        with closing(connect(dsn, "doctor")) as connection, translate_postgres_errors():
            connection.execute("SELECT pg_notify(%s, %s)", [_CHANNEL, token])
        works = arrived.wait(_ARRIVAL_SECONDS)
    listener.close()
    if isinstance(listener.error, NoConnectionFreeError):
        raise listener.error
    if works:
        return Finding("listen", "ok", "notifications arrive")
    return Finding("listen", "warn", f"notifications do not arrive: {LOST_WITHOUT_SESSIONS}", SET_LISTEN)

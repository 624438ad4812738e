"""Whether a pooler keeps one session of the server for each client: found out by asking, whatever its port and name.

A pooler in session mode does, and so LISTEN and session locks work there. One in transaction mode gives its sessions to
whoever begins a transaction.
"""

from contextlib import closing

from bridge.errors import StoreUnavailableError
from bridge.postgres.connect import connect
from bridge.postgres.connection import Connection
from bridge.postgres.errors import translate_postgres_errors

_ROUNDS = 6  # if two sessions are given out by chance, all are as in session mode in one case of two thousand
_TIMEOUT_MS = 1_000  # a pool with no session left for the second client must not delay a heartbeat for long


def keeps_session(connection: Connection) -> bool | None:
    """Whether the server's session of this connection is its own until its end. None: that cannot be found out now.

    Behind a pooler a second client asks in turn with this one, which process of the server serves it. In transaction
    mode soon both are served by one, or one of them by two. The answer is kept with the connection.
    """
    if not connection.is_pooled:
        return True
    if connection.keeps_session is None:
        try:
            connection.keeps_session = _is_constant(connection)
        except StoreUnavailableError:
            return None
    return connection.keeps_session


def session_pid(connection: Connection) -> int | None:
    """The process of the server that serves this connection until its end. None: it may change, or is unknown."""
    if not connection.is_pooled:
        return connection.info.backend_pid
    return _pid(connection) if keeps_session(connection) else None


def _is_constant(connection: Connection) -> bool:
    with closing(connect(connection.dsn, "check", statement_timeout_ms=_TIMEOUT_MS)) as other:
        ours, others = set(), set()
        for _ in range(_ROUNDS):
            ours.add(_pid(connection))
            others.add(_pid(other))
            if len(ours) > 1 or len(others) > 1 or ours & others:
                return False
    return True


def _pid(connection: Connection) -> int:
    with translate_postgres_errors():
        row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
    assert row is not None
    return int(row["pid"])

"""Checks both stores before a process begins that works on jobs."""

import time
from collections.abc import Callable

from bridge.postgres.session_check import check_session_address
from bridge.postgres.startup_checks import TRIES, check_database, mark_of_database, with_retries
from bridge.settings import Settings
from bridge.settings.redis_address import parse_redis_address
from bridge.transport.client import Client
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.server_check import check_usable


def check_stores(
    settings: Settings,
    client: Client,
    *,
    connections: int = 0,
    tries: int = TRIES,
    rest: Callable[[float], object] = time.sleep,
) -> DatabaseMark:
    """Refuse stores that cannot serve: unreachable, not migrated, without rights, another database's.

    Waits for a store that does not answer, up to `tries` times. Returns the mark by which it took the namespace.
    `connections` is what the process may open to Postgres. `rest` waits between two tries. Raises BridgeError.
    """
    dsn, namespace = settings.postgres_dsn(), settings.redis_namespace
    check_database(dsn, connections=connections, tries=tries, rest=rest)
    check_session_address(dsn, settings.session_dsn())
    mark = DatabaseMark(client, namespace, mark_of_database(dsn))
    where = parse_redis_address(settings.redis_address()).where
    with_retries(lambda: check_usable(client, namespace, mark), where=where, tries=tries, rest=rest)
    return mark

"""Failovers again and again, beside tests that do not know of them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from bridge.errors import RedisUnavailableError
from bridge.transport.client import connect_redis, discovery_of
from tests.support.failovers import KINDS
from tests.support.redis_groups import Watched
from tests.support.waiting import eventually

_KINDS = ("demote", "kill", "freeze")  # those that need no load of their own
NO_FAILOVER = threading.Lock()
"""Whoever holds it has the primary for himself: a test that writes to Redis would wait for what a failover forgets."""

_WAIT_SECONDS = 0.1
_WAIT_MS = 1000  # for a replica to take a write
_WAITS = 300  # a busy machine needs long for a failover


def patient_client(url: str, *, decode_responses: bool = False) -> redis.Redis:
    """A test's own client: it asks again during a failover, which is none of that test's business."""
    client = connect_redis(url)
    client.connection_pool.connection_kwargs["decode_responses"] = decode_responses
    errors = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, RedisUnavailableError)
    client.set_retry(Retry(ConstantBackoff(_WAIT_SECONDS), _WAITS, supported_errors=errors))
    return client


def empty(client: redis.Redis) -> None:
    """Empty the database, on the replica too: it may be the primary in a moment."""

    def emptied() -> bool:
        client.flushdb()
        # WAIT on another connection than FLUSHDB's, after a failover between them, waits for nothing.
        return discovery_of(client) is None or (client.wait(1, _WAIT_MS) == 1 and client.dbsize() == 0)

    eventually(emptied, seconds=60, what="a replica that is empty too")


@contextmanager
def failovers(group: Watched, every_seconds: float) -> Iterator[None]:
    """One after the other, `every_seconds` apart; 0 is none. Raises at the end what one of them raised."""
    if not every_seconds:
        yield
        return
    stop = threading.Event()

    def loop() -> int:
        done = 0
        for kind in cycle(_KINDS):
            if stop.wait(every_seconds):
                break
            with NO_FAILOVER:
                KINDS[kind](group)
            done += 1
        return done

    with ThreadPoolExecutor(thread_name_prefix="failovers") as pool:
        made = pool.submit(loop)
        yield
        stop.set()
        assert made.result() > 0, f"no failover: the tests ended within {every_seconds:g} s"

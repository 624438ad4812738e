"""Who else uses our namespace: read from our own keys, a limited number of entries, and never by a scan of all keys."""

import time
from dataclasses import dataclass
from typing import Any

from bridge.transport.client import Client, translate_redis_errors
from bridge.transport.housekeeping import DEAD_MS
from bridge.transport.messages import suffix_of
from bridge.transport.names import WORKER_PREFIX, names_of

_SCAN_MOST = 10_000  # ids, in one answer of less than a megabyte


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many of another application's messages wait on a queue of ours; `is_all` if the whole queue was read."""

    messages: int
    is_all: bool


def foreign_messages(client: Client, namespace: str, queue: str) -> Waiting | None:
    key = names_of(client, namespace).waiting(queue)
    with translate_redis_errors():
        ids: Any = client.lrange(key, 0, _SCAN_MOST - 1)
        length: Any = client.llen(key)
    messages = sum(1 for name in ids if suffix_of(name) is None)
    return Waiting(messages, length <= _SCAN_MOST) if messages else None


def foreign_processes(client: Client, namespace: str) -> int:
    """Dramatiq's own brokers with a recent heartbeat."""
    return sum(1 for name in _alive(client, namespace) if not name.startswith(WORKER_PREFIX))


def our_workers(client: Client, namespace: str) -> list[str]:
    return [name for name in _alive(client, namespace) if name.startswith(WORKER_PREFIX)]


def _alive(client: Client, namespace: str) -> list[str]:
    since = int(time.time() * 1000) - DEAD_MS  # as housekeeping does
    with translate_redis_errors():
        alive: Any = client.zrangebyscore(names_of(client, namespace).heartbeats, since, "+inf", start=0, num=1000)
    return [name.decode("utf-8", "replace") for name in alive]

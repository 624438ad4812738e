"""Who else is in our namespace: a bounded look at our own queues, never a walk through all keys."""

import time
from dataclasses import dataclass
from typing import Any

from bridge.transport.client import Client, in_our_words
from bridge.transport.messages import mark_of
from bridge.transport.names import WORKER_PREFIX, names_of

_SCAN_MOST = 10_000
_ALIVE_MS = 300_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """Of somebody else on a queue of ours; `is_all` when the whole queue was looked at."""

    messages: int
    is_all: bool


def other_messages(client: Client, namespace: str, queue: str) -> Waiting | None:
    key = names_of(client, namespace).waiting(queue)
    with in_our_words():
        ids: Any = client.lrange(key, 0, _SCAN_MOST - 1)
        length: Any = client.llen(key)
    messages = sum(1 for name in ids if mark_of(name) is None)
    return Waiting(messages, length <= _SCAN_MOST) if messages else None


def other_processes(client: Client, namespace: str) -> int:
    """Dramatiq's brokers that gave a sign of life lately and are none of ours."""
    return sum(1 for name in _alive(client, namespace) if not name.startswith(WORKER_PREFIX))


def our_workers(client: Client, namespace: str) -> list[str]:
    return [name for name in _alive(client, namespace) if name.startswith(WORKER_PREFIX)]


def _alive(client: Client, namespace: str) -> list[str]:
    since = int(time.time() * 1000) - _ALIVE_MS
    with in_our_words():
        alive: Any = client.zrangebyscore(names_of(client, namespace).heartbeats, since, "+inf", start=0, num=1000)
    return [name.decode("utf-8", "replace") for name in alive]

"""Removes from Redis what dead worker processes left there, and old dead letters; only our own."""

import logging
import random
import time
from typing import Any

from bridge.transport.client import Client, load_script, translate_redis_errors
from bridge.transport.names import WORKER_PREFIX, Names

logger = logging.getLogger(__name__)

# A process that was silent for five minutes counts as dead, even if the machines' clocks differ a little. This only
# cleans up: attempts are fenced, and their jobs are taken back in Postgres long before.
DEAD_MS = 300_000
_FORGOTTEN_MS = 86_400_000  # by then the consumers of its queues have put back what it held
DEAD_LETTER_MS = 86_400_000  # a day: enough to find out why a message was rejected
_MOST = 100  # dead letters in one call: Redis does nothing else meanwhile
_WORKERS_MOST = 1000  # dead workers in one call, each with a set of ids to read
_REST_SECONDS = 60.0  # often enough for what is kept for minutes or a day


class Housekeeping:
    """Of one queue, done by one consumer."""

    def __init__(self, client: Client, names: Names, queue: str) -> None:
        self._client = client
        self._names = names
        self._queue = queue
        self._give_back = load_script(client, "give_back")
        self._trim = load_script(client, "trim")
        self._passed_over = 0
        self._next = time.monotonic() + random.uniform(1, _REST_SECONDS)  # noqa: S311

    def step(self) -> None:
        """Tidy when it is due, and return at once when it is not."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _REST_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311
            self.tidy()

    def tidy(self) -> None:
        now_ms = int(time.time() * 1000)
        with translate_redis_errors():
            self._take_back(now_ms)
            self._forget_dead_letters(now_ms)

    def _take_back(self, now_ms: int) -> None:
        names = self._names
        silent: Any = self._client.zrangebyscore(
            names.heartbeats, "-inf", now_ms - DEAD_MS, start=0, num=_WORKERS_MOST, withscores=True
        )
        ours = {name.decode(): score for name, score in silent if name.startswith(WORKER_PREFIX.encode())}
        if not ours:
            return
        held = [names.held(worker, self._queue) for worker in ours]
        keys = [names.waiting(self._queue), names.payloads(self._queue), names.priorities(self._queue)]
        back = self._give_back(keys=[*keys, *held], args=[])
        if back:
            logger.debug("Messages of dead workers put back", extra={"queue": self._queue, "messages": back})
        forgotten = [worker for worker, score in ours.items() if score < now_ms - DEAD_MS - _FORGOTTEN_MS]
        if forgotten:
            self._client.zrem(names.heartbeats, *forgotten)

    def _forget_dead_letters(self, now_ms: int) -> None:
        keys = [self._names.dead(self._queue), self._names.dead_payloads(self._queue)]
        seen, forgotten = self._trim(keys=keys, args=[now_ms - DEAD_LETTER_MS, self._passed_over, _MOST])
        self._passed_over = 0 if seen < _MOST else self._passed_over + seen - forgotten

"""The names of all keys and channels: each begins with the namespace and a colon, so that one rule covers them all.

Queues are laid out as Dramatiq's own broker does it, for its dashboards.
"""

from dataclasses import dataclass
from typing import Any

import redis

# Worker processes of ours among Dramatiq's in `__heartbeats__` and `__acks__`.
WORKER_PREFIX = "mobvibe-"


@dataclass(frozen=True, slots=True)
class Names:
    """`database` is the number in REDIS_URL: keys belong to it, but channels are heard in all of them."""

    namespace: str
    database: int = 0

    def waiting(self, queue: str) -> str:
        """List of ids."""
        return f"{self.namespace}:{queue}"

    def payloads(self, queue: str) -> str:
        """Hash: id → payload, until the message is done with."""
        return f"{self.namespace}:{queue}.msgs"

    def held(self, worker: str, queue: str) -> str:
        """Set of ids that a worker took and is not done with."""
        return f"{self.namespace}:__acks__.{worker}.{queue}"

    def dead(self, queue: str) -> str:
        """Zset: id → when it was put aside, in ms."""
        return f"{self.namespace}:{queue}.XQ"

    def dead_payloads(self, queue: str) -> str:
        return f"{self.namespace}:{queue}.XQ.msgs"

    @property
    def heartbeats(self) -> str:
        """Zset: worker → its last call, in ms."""
        return f"{self.namespace}:__heartbeats__"

    @property
    def epoch(self) -> str:
        return f"{self.namespace}:__road__"

    @property
    def owner(self) -> str:
        return f"{self.namespace}:__database__"

    @property
    def stats(self) -> str:
        return f"{self.namespace}:__stats__"

    @property
    def wake(self) -> str:
        """Channel that says a queue's name when messages were put on it."""
        return f"{self.namespace}:__wake__{self._of_database}"

    @property
    def freed(self) -> str:
        """Channel that says that workers have room again."""
        return f"{self.namespace}:__freed__{self._of_database}"

    @property
    def _of_database(self) -> str:
        return f".{self.database}" if self.database else ""


def names_of(client: "redis.Redis", namespace: str) -> Names:
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    return Names(namespace, int(options.get("db") or 0))


def may_be_queue(name: str) -> bool:
    """Whether a queue of this name has keys of its own: `coding.msgs` would be the payloads of `coding`."""
    return not name.startswith("__") and not name.endswith((".msgs", ".XQ", ".DQ"))

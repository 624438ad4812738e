"""The names of all keys and channels. Each begins with the namespace and a colon, so that one ACL rule covers them all.

Queues have the layout of Dramatiq's own broker, so that its dashboards work.
"""

from dataclasses import dataclass
from typing import Any

import redis

# Tells our worker processes from Dramatiq's in `__heartbeats__` and `__acks__`.
WORKER_PREFIX = "mobvibe-"


@dataclass(frozen=True, slots=True)
class Names:
    """`database` is the number in REDIS_URL. All databases share the channels, so their names contain it."""

    namespace: str
    database: int = 0

    def waiting(self, queue: str) -> str:
        """List: ids of messages that wait, the most urgent first."""
        return f"{self.namespace}:{queue}"

    def payloads(self, queue: str) -> str:
        """Hash: id → payload, until the message is acknowledged."""
        return f"{self.namespace}:{queue}.msgs"

    def priorities(self, queue: str) -> str:
        """Hash: id → priority of its jobs where that is not 0, until the message is acknowledged."""
        return f"{self.namespace}:__priorities__.{queue}"

    def held(self, worker: str, queue: str) -> str:
        """Set: ids that a worker took and has not acknowledged."""
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
        """Text: see epoch.py."""
        return f"{self.namespace}:__road__"

    @property
    def owner(self) -> str:
        """Text: the mark of a database, see database_mark.py."""
        return f"{self.namespace}:__database__"

    @property
    def stats(self) -> str:
        """Hash, and with `.json` a text: see Monitor."""
        return f"{self.namespace}:__stats__"

    @property
    def samples(self) -> str:
        """Stream: what the hash of statistics held before, see Monitor."""
        return f"{self.namespace}:__stats__.samples"

    @property
    def wake(self) -> str:
        """Channel: the name of a queue that messages were put on, and more in wake_message.py."""
        return f"{self.namespace}:__wake__{self._of_database}"

    @property
    def freed(self) -> str:
        """Channel: what workers settled and bridges handed over, see freed.py."""
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

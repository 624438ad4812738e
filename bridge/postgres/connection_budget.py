"""How many connections to Postgres each process opens at most, and how many are free."""

from dataclasses import dataclass

from bridge.postgres.link import Link
from bridge.settings import Settings

BRIDGE = 7  # dispatcher, recovery, reconciler, upkeep, relay, LISTEN; and briefly the monitor's
WORKER_PROCESS = 4  # heartbeat, starts, reports; and one for `.send()` or for turns of sessions


def of_web(settings: Settings) -> int:
    """The pool, and one for /readyz, which must not wait for a busy pool."""
    return settings.web_database_connections + 1


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """The limit that will be reached first: `most` connections, of which `used` are open, `ours` of them MobVibe's."""

    name: str
    most: int
    used: int
    free: int
    ours: int


def nearest_limit(link: Link) -> ConnectionLimit | None:
    """The limit for this link's role, without the link itself; None behind a pooler, which has limits of its own.

    Raises BridgeError.
    """
    if link.connection.is_pooled:
        return None
    return ConnectionLimit(**link.call("connection_room")[0])

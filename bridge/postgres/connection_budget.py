"""How many connections to Postgres each process opens at most, and how many are free for it."""

from dataclasses import dataclass

from bridge.postgres.link import Link
from bridge.settings import Settings

BRIDGE = 6  # dispatcher, recovery, reconciler, upkeep, LISTEN; and the monitor's, for a moment
WORKER_PROCESS = 4  # heartbeat, starts, reports; and one for `.send()`, once it is used


def of_web(settings: Settings) -> int:
    """The pool, and one for /readyz that no busy pool holds up."""
    return settings.web_database_connections + 1


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """The limit that is nearest: `most` connections, of them `used` by anybody. `ours` are MobVibe's own."""

    name: str
    most: int
    used: int
    free: int
    ours: int


def nearest_limit(link: Link) -> ConnectionLimit | None:
    """What is free for the role of this link, the link itself left out; None behind a pooler, whose limits are its own.

    Raises BridgeError.
    """
    if link.connection.is_pooled:
        return None
    return ConnectionLimit(**link.call("connection_room")[0])

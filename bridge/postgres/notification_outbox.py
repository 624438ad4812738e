"""Notifications of new jobs that inserts leave to a bridge: rows in a table."""

from dataclasses import dataclass
from datetime import timedelta

from bridge.postgres.link import Link
from bridge.postgres.older_schema import unless_missing


@dataclass(frozen=True, slots=True)
class RelayState:
    """`promised`: a bridge relays now. `drained`: none does, and no transaction may still leave a notification.

    `after` is for the next question: the number of a transaction.
    """

    promised: bool = False
    drained: bool = True
    after: str | None = None


class NotificationOutbox:
    """For one thread. In the schema of the version before, inserts leave nothing."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def promise(self, bridge: str, *, time: timedelta) -> bool:
        """Promise to `send` again and again within `time`. False: another bridge has promised, or none can."""
        rows = unless_missing(lambda: self._link.call("promise_relay", {"bridge": bridge, "time": time})) or []
        return any(row["promised"] for row in rows)

    def send(self, *, limit: int) -> int:
        """Send up to `limit` notifications that inserts left. Returns how many."""
        rows = unless_missing(lambda: self._link.call("relay_notifications", {"limit": limit})) or []
        return sum(row["sent"] for row in rows)

    def vacuum(self) -> None:
        """Remove dead rows, which every `send` reads; if this role may do that."""
        if self._link.call("owns_job_notifications"):
            self._link.call("vacuum_job_notifications")

    def state(self, after: str | None) -> RelayState:
        """Whether inserts leave notifications. `after`: of the last answer."""
        rows = unless_missing(lambda: self._link.call("relay_state", {"after": after})) or []
        state = RelayState(**rows[0]) if rows else RelayState()
        return RelayState() if state.drained else state  # another promise may end before the next question

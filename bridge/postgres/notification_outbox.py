"""Notifications of new jobs that inserts leave to a bridge: rows in a table."""

from dataclasses import dataclass
from datetime import timedelta

from bridge.errors import SchemaError
from bridge.postgres.link import Link


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
        try:
            return bool(self._link.call("promise_relay", {"bridge": bridge, "time": time})[0]["promised"])
        except SchemaError:
            return False

    def send(self, *, limit: int) -> int:
        """Send up to `limit` notifications that inserts left. Returns how many."""
        try:
            return int(self._link.call("relay_notifications", {"limit": limit})[0]["sent"])
        except SchemaError:
            return 0

    def vacuum(self) -> None:
        """Remove dead rows, which every `send` reads; if this role may do that."""
        if self._link.call("owns_job_notifications"):
            self._link.call("vacuum_job_notifications")

    def state(self, after: str | None) -> RelayState:
        """Whether inserts leave notifications. `after`: of the last answer."""
        try:
            state = RelayState(**self._link.call("relay_state", {"after": after})[0])
        except SchemaError:
            return RelayState()
        return RelayState() if state.drained else state  # another promise may end before the next question

"""Connections to whichever server is the primary."""

from typing import Any, NoReturn

import redis
from redis import exceptions as theirs

from bridge.transport.discovery import Discovery

# The server is no primary, or one without its replicas: in a failover the old one answers so.
_NO_PRIMARY = (theirs.ReadOnlyError, theirs.MovedError, theirs.ClusterDownError, theirs.MasterDownError)
_TOO_FEW_REPLICAS = "NOREPLICAS"
_BEING_MOVED = (theirs.AskError, theirs.TryAgainError)  # keys of ours are on two nodes of a cluster for a while


class DiscoveredConnection(redis.Connection):
    """Asks `discovery` for the address when it connects, and is not used again when the primary has changed: the pool
    calls `can_read` before it gives a connection out, and connects one anew that fails.

    An answer that comes after a change counts as lost: the old primary may have given it, and forgets what it wrote.
    """

    _sock: Any  # the driver's, None while there is no connection

    def __init__(self, *, discovery: Discovery, **options: Any) -> None:
        self._discovery = discovery
        self._generation = -1
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def can_read(self, timeout: float = 0) -> bool:
        self._refuse_an_old_primary()
        return bool(super().can_read(timeout))

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            answer = super().read_response(*args, **options)
        except theirs.ResponseError as error:
            if isinstance(error, _NO_PRIMARY) or _TOO_FEW_REPLICAS in str(error):
                self._discovery.distrust()
                self._lose("takes no writes now")
            if isinstance(error, _BEING_MOVED):
                self._lose("is handing our keys to another node of its cluster")
            raise
        self._refuse_an_old_primary()
        return answer

    def _connect(self) -> Any:
        self._generation, (self.host, self.port) = self._discovery.primary()
        return super()._connect()  # type: ignore[no-untyped-call]

    def _refuse_an_old_primary(self) -> None:
        if self._sock is not None and self._generation != self._discovery.generation:
            self._lose("was the primary when this was sent, and is no longer")

    def _lose(self, why: str) -> NoReturn:
        """The answers that may follow have no reader any more."""
        self.disconnect()  # type: ignore[no-untyped-call]
        raise theirs.ConnectionError(f"{self.host}:{self.port} {why}")


class DiscoveredTlsConnection(DiscoveredConnection, redis.SSLConnection):
    """The certificate has to be for the host by which the primary is named."""

"""A link for what needs a session of the server: by an address of its own, or as other links while that one fails."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bridge.errors import BridgeError, RightsError, SchemaError, StoreUnavailableError, UnfitSessionError
from bridge.postgres.connection import Connection
from bridge.postgres.link import Link

logger = logging.getLogger(__name__)

_AVOID_SECONDS = 60.0  # after a failure: each try may take as long as a log-in, which a heartbeat waits for
_UNFIT = (UnfitSessionError, RightsError, SchemaError)  # a standby, another database, a role without rights


class SessionLink(Link):
    """A link by `session_dsn`. While that fails, and `dsn` is another address, it is a link by `dsn`.

    So what must not stop goes on there, without what needs a session.
    """

    def __init__(self, dsn: str, session_dsn: str, name: str, *, statement_timeout_ms: int) -> None:
        super().__init__(dsn, name, statement_timeout_ms=statement_timeout_ms)
        self._session_dsn = session_dsn
        self._avoided_until = 0.0

    def _connect(self) -> Connection:
        if self._session_dsn == self.dsn or self._is_avoided():
            return super()._connect()
        try:
            connection = self._connect_to(self._session_dsn)
        except StoreUnavailableError as error:
            self._avoid(error)
            return super()._connect()
        self._avoided_until = 0.0
        return connection

    def _is_doubtful(self, connection: Connection) -> bool:
        is_time_to_return = self._avoided_until > 0 and not self._is_avoided()
        return is_time_to_return or super()._is_doubtful(connection)

    @contextmanager
    def _kept_or_closed(self) -> Iterator[None]:
        try:
            with super()._kept_or_closed():
                yield
        except _UNFIT as error:
            if self._session_dsn != self.dsn and not self._is_avoided():
                self._avoid(error)
                self.close()
            raise

    def _is_avoided(self) -> bool:
        return time.monotonic() < self._avoided_until

    def _avoid(self, error: BridgeError) -> None:
        if self._avoided_until == 0:
            logger.warning(
                "LISTEN_DATABASE_URL does not serve, heartbeats go by DATABASE_URL: the jobs of a killed worker may "
                "wait for the end of its lease",
                extra={"reason": str(error)},
            )
        self._avoided_until = time.monotonic() + _AVOID_SECONDS

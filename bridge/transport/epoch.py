"""Tells whether Redis still has the messages that were published to it: by a key in it, and by which server it is."""

import logging
from uuid import uuid4

from bridge.errors import WrongKeyError
from bridge.transport.client import Client, discovery_of, translate_redis_errors
from bridge.transport.names import names_of
from bridge.transport.wrong_keys import named

logger = logging.getLogger(__name__)


class RedisEpoch:
    """`<namespace>:__road__`: a random text. It is missing after Redis lost its data, and differs in another Redis.

    A replica that became the primary has the same text, but perhaps not the last messages: so a failover counts, too.
    """

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._key = names_of(client, namespace).epoch
        self._seen: tuple[bytes | None, int] | None = None
        self._is_logged = False

    def has_changed(self) -> bool:
        """Whether Redis may have lost messages since the last time. One round trip; raises RedisUnavailableError."""
        try:
            before, self._seen = self._seen, self._read()
        except WrongKeyError as error:
            self._log(error)
            return False
        self._is_logged = False
        return before is not None and before != self._seen

    def _read(self) -> tuple[bytes | None, int]:
        with translate_redis_errors():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.set(self._key, uuid4().hex, nx=True)
            pipeline.get(self._key)
            seen: bytes | None = pipeline.execute()[1]
        discovery = discovery_of(self._client)
        return seen, discovery.failovers if discovery else 0

    def _log(self, error: WrongKeyError) -> None:
        if not self._is_logged:
            self._is_logged = True
            reason = str(named(error, self._client, {self._key: "string"}))
            logger.warning("It cannot be seen whether Redis lost messages", extra={"reason": reason})

"""A mark in Redis by which we see that it is still the Redis that we put messages into."""

from uuid import uuid4

from bridge.transport.client import Client, in_our_words
from bridge.transport.names import names_of


class RoadMark:
    """`<namespace>:__road__`: gone when Redis was emptied or came back without its data, another one elsewhere."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._key = names_of(client, namespace).road
        self._seen: bytes | None = None

    def has_changed(self) -> bool:
        """Whether Redis may have lost messages since the last time. One round trip; raises RedisUnavailableError."""
        with in_our_words():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.set(self._key, uuid4().hex, nx=True)
            pipeline.get(self._key)
            before, self._seen = self._seen, pipeline.execute()[1]
        return before is not None and before != self._seen

"""The bridge's end of the road: messages in bulk, one call a queue."""

from collections import defaultdict
from collections.abc import Sequence

from bridge.envelope import message_id, seal
from bridge.job import Claim
from bridge.transport.client import Client, check_redis, in_our_words, load_script

_BATCH = 1000  # ids and payloads are unpacked on Lua's stack, which is finite


class Publisher:
    """Hands claims over. Saying the same hand-over twice is harmless: its id is there already."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._publish = load_script(client, "publish")

    def check(self) -> None:
        """Raise RedisUnavailableError unless Redis answers."""
        check_redis(self._client)

    def publish(self, claims: Sequence[Claim]) -> int:
        """Put claims on their queues in the order given; how many were new.

        Raises RedisUnavailableError; what was published until then is unknown.
        """
        queues: defaultdict[str, list[str | bytes]] = defaultdict(list)
        for claim in claims:
            queues[claim.queue] += [message_id(claim.job_id, claim.fence), seal(claim).encode()]
        published = 0
        with in_our_words():
            for queue, messages in queues.items():
                for start in range(0, len(messages), 2 * _BATCH):
                    batch = messages[start : start + 2 * _BATCH]
                    published += self._publish(keys=[self._namespace], args=[queue, *batch])
        return published

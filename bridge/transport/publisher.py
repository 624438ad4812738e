"""The bridge's end of the road: messages in bulk, one call a queue."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from bridge.envelope import seal
from bridge.job import Claim
from bridge.transport.client import Client, check_redis, in_our_words, load_script

_BATCH = 1000  # ids and payloads are unpacked on Lua's stack, which is finite


class Publisher:
    """Hands claims over. Saying the same hand-over twice is harmless: its id is there already."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._publish = load_script(client, "publish")
        self._push = load_script(client, "push_again")
        self.published_at = time.monotonic()

    def check(self) -> None:
        """Raise RedisUnavailableError unless Redis answers."""
        check_redis(self._client)

    def publish(
        self,
        claims: Sequence[Claim],
        together: Mapping[str, int] | None = None,
        *,
        handed: Mapping[str, int] | None = None,
        by: str = "",
    ) -> int:
        """Put claims on their queues in the order given, up to `together[queue]` (1 unless it says) in one message.

        Other bridges hear that the bridge `by` handed over so many, by queue. Returns how many messages were new.
        Raises RedisUnavailableError; what was published until then is unknown.
        """
        queues: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in claims:
            queues[claim.queue].append(claim)
        published = 0
        self.published_at = time.monotonic()
        word = json.dumps({"handed": handed, "by": by}) if handed else ""
        with in_our_words():
            for queue, waiting in queues.items():
                messages = [part for some in in_parts(waiting, (together or {}).get(queue, 1)) for part in seal(some)]
                for start in range(0, len(messages), 2 * _BATCH):
                    batch = messages[start : start + 2 * _BATCH]
                    published += self._publish(keys=[self._namespace], args=[queue, word, *batch])
                    word = ""  # once is enough
        return published

    def push_again(self, claims: Sequence[Claim]) -> None:
        """Put each claim on its queue by itself, whatever Redis says of it already.

        For messages that may be gone, or in the hands of a worker that is: a second one is turned away by its
        fence. Raises RedisUnavailableError.
        """
        queues: defaultdict[str, list[str]] = defaultdict(list)
        for claim in claims:
            queues[claim.queue] += seal([claim])
        with in_our_words():
            for queue, messages in queues.items():
                for start in range(0, len(messages), 2 * _BATCH):
                    self._push(keys=[self._namespace], args=[queue, *messages[start : start + 2 * _BATCH]])


def in_parts(claims: Sequence[Claim], together: int) -> Iterator[Sequence[Claim]]:
    """Neighbours of one actor, up to `together` of them each: the order stays as it is."""
    for _, same in groupby(claims, key=attrgetter("actor")):
        neighbours = list(same)
        for start in range(0, len(neighbours), together):
            yield neighbours[start : start + together]

"""The bridge's end of the road: messages in bulk, one call a queue."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from operator import attrgetter

from bridge.envelope import seal
from bridge.job import Claim
from bridge.transport.client import Client, check_redis, load_script
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.names import names_of

_LINE_SECONDS = 1.0  # a line is never longer
_BATCH = 1000  # ids and payloads are unpacked on Lua's stack, which is finite


class Publisher:
    """Hands claims over. Saying the same hand-over twice is harmless: its id is there already."""

    def __init__(self, client: Client, namespace: str, mark: DatabaseMark | None = None) -> None:
        self._client = client
        self._names = names_of(client, namespace)
        self.mark = mark or DatabaseMark(client, namespace)
        self._publish = load_script(client, "publish")
        self._push = load_script(client, "push_again")
        self._ends: dict[str, tuple[int, float]] = {}  # queue → priority of what was put at its end, and when
        self.published_at = time.monotonic()

    def check(self) -> None:
        """Raise RedisUnavailableError unless Redis answers and the namespace is ours."""
        check_redis(self._client)
        self.mark.check()

    def publish(
        self,
        claims: Sequence[Claim],
        together: Mapping[str, int] | None = None,
        *,
        handed: Mapping[str, int] | None = None,
        by: str = "",
    ) -> int:
        """Put claims on their queues in the order given, up to `together[queue]` (1 unless it says) in one message.

        Those that are more urgent than what was put there last pass all that waits.
        Other bridges hear that the bridge `by` handed over so many, by queue. Returns how many messages were new.
        Raises RedisUnavailableError; what was published until then is unknown.
        """
        queues: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in claims:
            queues[claim.queue].append(claim)
        published = 0
        self.published_at = time.monotonic()
        word = json.dumps({"handed": handed, "by": by}) if handed else ""
        with self.mark.in_our_words():
            for queue, waiting in queues.items():
                urgent = self._urgent(queue, waiting)
                many = (together or {}).get(queue, 1)
                first = [part for some in in_parts(waiting[:urgent], many) for part in seal(some)]
                messages = first + [part for some in in_parts(waiting[urgent:], many) for part in seal(some)]
                passing = len(first) // 2
                for start in range(0, len(messages), 2 * _BATCH):
                    batch = messages[start : start + 2 * _BATCH]
                    published += self._publish(
                        keys=self._keys(queue),
                        args=[queue, word, passing, self.mark.text, self._names.wake, self._names.freed, *batch],
                    )
                    word, passing = "", 0  # once is enough
        return published

    def _urgent(self, queue: str, claims: Sequence[Claim]) -> int:
        """How many of the claims, the most urgent first, pass what stands in line; no more than one call puts there."""
        now = time.monotonic()
        priority, at = self._ends.get(queue, (0, float("-inf")))
        urgent = 0
        if now - at < _LINE_SECONDS:
            urgent = sum(1 for _ in takewhile(lambda claim: claim.priority > priority, claims[:_BATCH]))
        if urgent < len(claims):
            self._ends[queue] = claims[-1].priority, now
        return urgent

    def push_again(self, claims: Sequence[Claim]) -> None:
        """Put each claim on its queue by itself, whatever Redis says of it already.

        For messages that may be gone, or in the hands of a worker that is: a second one is turned away by its
        fence. Raises RedisUnavailableError.
        """
        queues: defaultdict[str, list[str]] = defaultdict(list)
        for claim in claims:
            queues[claim.queue] += seal([claim])
        with self.mark.in_our_words():
            for queue, messages in queues.items():
                for start in range(0, len(messages), 2 * _BATCH):
                    batch = messages[start : start + 2 * _BATCH]
                    self._push(keys=self._keys(queue), args=[queue, self.mark.text, self._names.wake, *batch])

    def _keys(self, queue: str) -> list[str]:
        return [self._names.waiting(queue), self._names.payloads(queue), self._names.owner]


def in_parts(claims: Sequence[Claim], together: int) -> Iterator[Sequence[Claim]]:
    """Neighbours of one actor, up to `together` of them each: the order stays as it is."""
    for _, same in groupby(claims, key=attrgetter("actor")):
        neighbours = list(same)
        for start in range(0, len(neighbours), together):
            yield neighbours[start : start + together]

"""The bridge's end of the road: messages in bulk, one call a queue."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, takewhile
from operator import attrgetter

from bridge.envelope import seal
from bridge.errors import WrongKeyError
from bridge.job import Claim
from bridge.transport.client import Client, check_redis, load_script
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.names import names_of
from bridge.transport.rights import check_rights
from bridge.transport.wrong_keys import in_a_line, keys_of, marks_of, named, way_out, wrong_keys

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
        """Raise RedisUnavailableError unless Redis answers, lets us do what we need, and the namespace is ours."""
        check_redis(self._client)
        check_rights(self._client, self._names.namespace)
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
        Raises RedisUnavailableError; what was published until then is unknown. Raises WrongKeyError when all but its
        queues were served.
        """
        queues: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in claims:
            queues[claim.queue].append(claim)
        published = 0
        self.published_at = time.monotonic()
        word = json.dumps({"handed": handed, "by": by}) if handed else ""
        closed: dict[str, WrongKeyError] = {}
        for queue, waiting in queues.items():
            with self._queue(queue, closed):
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
        _tell(closed)
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
        closed: dict[str, WrongKeyError] = {}
        for queue, messages in queues.items():
            with self._queue(queue, closed):
                for start in range(0, len(messages), 2 * _BATCH):
                    batch = messages[start : start + 2 * _BATCH]
                    self._push(keys=self._keys(queue), args=[queue, self.mark.text, self._names.wake, *batch])
        _tell(closed)

    def check_queue(self, queue: str) -> None:
        """Raise WrongKeyError while a message for it could not be put into Redis or taken from there."""
        keys = keys_of(self._names, queue) | marks_of(self._names)
        if wrong := wrong_keys(self._client, keys):
            raise WrongKeyError(f"{in_a_line(wrong)}; {way_out(wrong)}", [queue])

    @contextmanager
    def _queue(self, queue: str, closed: dict[str, WrongKeyError]) -> Iterator[None]:
        """One queue's turn: a wrong key of it does not stop the others."""
        try:
            with self.mark.in_our_words():
                yield
        except WrongKeyError as error:
            closed[queue] = named(error, self._client, keys_of(self._names, queue) | marks_of(self._names))

    def _keys(self, queue: str) -> list[str]:
        return [self._names.waiting(queue), self._names.payloads(queue), self._names.owner]


def _tell(closed: Mapping[str, WrongKeyError]) -> None:
    if closed:
        reasons = {queue: str(error) for queue, error in closed.items()}
        raise WrongKeyError("; ".join(dict.fromkeys(reasons.values())), closed, reasons)


def in_parts(claims: Sequence[Claim], together: int) -> Iterator[Sequence[Claim]]:
    """Neighbours of one actor, up to `together` of them each: the order stays as it is."""
    for _, same in groupby(claims, key=attrgetter("actor")):
        neighbours = list(same)
        for start in range(0, len(neighbours), together):
            yield neighbours[start : start + together]

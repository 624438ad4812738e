"""Puts messages into Redis for the bridge: many at a time, one call for each queue."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, takewhile
from operator import attrgetter

from bridge.errors import WrongKeyError
from bridge.job import Claim
from bridge.transport.client import Client, check_redis, load_script
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.freed import HandedOver
from bridge.transport.messages import seal
from bridge.transport.names import names_of
from bridge.transport.rights import check_rights
from bridge.transport.wrong_keys import in_a_line, keys_of, named, namespace_keys, way_out, wrong_keys

_BACKLOG_SECONDS = 1.0  # after this the messages that waited are gone: they are at most a fifth of a second's work
_BATCH = 1000  # messages in one call: Redis does nothing else meanwhile, and Lua unpacks some thousands of values


class Publisher:
    """Hands claims over. Publishing the same hand-over twice is harmless: its id is there already."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._names = names_of(client, namespace)
        self.mark = DatabaseMark(client, namespace)  # until the database is known
        self._publish = load_script(client, "publish")
        self._push = load_script(client, "push_again")
        self._ends: dict[str, tuple[int, float]] = {}  # queue → priority of its last message, and when that was put
        self.published_at = time.monotonic()

    def check(self) -> None:
        """Raise RedisUnavailableError unless Redis answers, lets us do what we need, and the namespace is ours."""
        check_redis(self._client)
        check_rights(self._client, self._names.namespace)
        self.mark.take()

    def publish(
        self,
        claims: Sequence[Claim],
        jobs_per_message: Mapping[str, int] | None = None,
        handed_over: HandedOver | None = None,
    ) -> int:
        """Put claims on their queues in the order given, up to `jobs_per_message[queue]` (else 1) in one message.

        Claims that are more urgent than the last message on their queue go before all that wait there. `handed_over` is
        sent to the other bridges. Returns how many messages were new. Raises RedisUnavailableError; it is then unknown
        what was published. Raises WrongKeyError when all queues were served but those it names.
        """
        queues: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in claims:
            queues[claim.queue].append(claim)
        published, names = 0, self._names
        self.published_at = time.monotonic()
        announcement = handed_over.to_json() if handed_over else ""
        closed: dict[str, WrongKeyError] = {}
        for queue, waiting in queues.items():
            with self._queue(queue, closed):
                urgent = self._urgent(queue, waiting)
                many = (jobs_per_message or {}).get(queue, 1)
                first = [part for some in in_parts(waiting[:urgent], many) for part in seal(some)]
                messages = first + [part for some in in_parts(waiting[urgent:], many) for part in seal(some)]
                passing = len(first) // 2
                for start in range(0, len(messages), 2 * _BATCH):
                    batch = messages[start : start + 2 * _BATCH]
                    published += self._publish(
                        keys=self._keys(queue),
                        args=[queue, announcement, passing, self.mark.text, names.wake, names.freed, *batch],
                    )
                    announcement, passing = "", 0  # with the first call only
        _raise(closed)
        return published

    def _urgent(self, queue: str, claims: Sequence[Claim]) -> int:
        """How many claims are more urgent than what is already queued, of those that fit into one call."""
        now = time.monotonic()
        priority, at = self._ends.get(queue, (0, float("-inf")))
        urgent = 0
        if now - at < _BACKLOG_SECONDS:
            urgent = sum(1 for _ in takewhile(lambda claim: claim.priority > priority, claims[:_BATCH]))
        if urgent < len(claims):
            self._ends[queue] = claims[-1].priority, now
        return urgent

    def push_again(self, claims: Sequence[Claim]) -> None:
        """Put a message for each claim on its queue, whether or not Redis already has one.

        For messages that may be gone, or taken by a worker that is gone: if there are two, the fence lets one of them
        start. Raises RedisUnavailableError.
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
        _raise(closed)

    def check_queue(self, queue: str) -> None:
        """Raise WrongKeyError while a key has the wrong type that publishing or taking messages needs."""
        keys = keys_of(self._names, queue) | namespace_keys(self._names)
        if wrong := wrong_keys(self._client, keys):
            raise WrongKeyError(f"{in_a_line(wrong)}; {way_out(wrong)}", [queue])

    @contextmanager
    def _queue(self, queue: str, closed: dict[str, WrongKeyError]) -> Iterator[None]:
        """For the calls of one queue: if one of its keys has the wrong type, the other queues are still served."""
        try:
            with self.mark.translate_errors():
                yield
        except WrongKeyError as error:
            closed[queue] = named(error, self._client, keys_of(self._names, queue) | namespace_keys(self._names))

    def _keys(self, queue: str) -> list[str]:
        return [self._names.waiting(queue), self._names.payloads(queue), self._names.owner]


def _raise(closed: Mapping[str, WrongKeyError]) -> None:
    if closed:
        reasons = {queue: str(error) for queue, error in closed.items()}
        raise WrongKeyError("; ".join(dict.fromkeys(reasons.values())), closed, reasons)


def in_parts(claims: Sequence[Claim], size: int) -> Iterator[Sequence[Claim]]:
    """The claims in their order, neighbours of one actor up to `size` at a time."""
    for _, same in groupby(claims, key=attrgetter("actor")):
        neighbours = list(same)
        for start in range(0, len(neighbours), size):
            yield neighbours[start : start + size]

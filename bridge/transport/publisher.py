"""Puts messages into Redis for the bridge: many at a time, one call for each queue."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from operator import attrgetter

from bridge.errors import WrongKeyError
from bridge.job import Claim
from bridge.transport.client import Client, check_redis, load_script
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.freed import HandedOver
from bridge.transport.messages import seal
from bridge.transport.names import names_of
from bridge.transport.rights import check_rights
from bridge.transport.wake_message import WakeMessage
from bridge.transport.wrong_keys import in_a_line, keys_of, named, namespace_keys, way_out, wrong_keys

_BATCH = 1000  # messages in one call: Redis does nothing else meanwhile, and Lua unpacks some thousands of values


class Publisher:
    """Hands claims over. Publishing the same hand-over twice is harmless: its id is there already."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._names = names_of(client, namespace)
        self.mark = DatabaseMark(client, namespace)  # until the database is known
        self._publish = load_script(client, "publish")
        self._push = load_script(client, "push_again")
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
        urgent: WakeMessage | None = None,
    ) -> int:
        """Put claims on their queues, up to `jobs_per_message[queue]` (else 1) in one message.

        Those that wait on a queue stay in order of priority, and among equals in the order they came. `handed_over` is
        sent to the other bridges, `urgent` to the workers of its queue. Returns how many messages were new. Raises
        RedisUnavailableError; it is then unknown what was published. Raises WrongKeyError when all queues were served
        but those it names.
        """
        published, names = 0, self._names
        self.published_at = time.monotonic()
        announcement = handed_over.to_json() if handed_over else ""
        closed: dict[str, WrongKeyError] = {}
        for queue, waiting in _by_queue(claims).items():
            wake = urgent.to_text() if urgent and urgent.queue == queue else ""
            with self._queue(queue, closed):
                messages = _messages(waiting, (jobs_per_message or {}).get(queue, 1))
                for start in range(0, len(messages), _BATCH):
                    batch = chain.from_iterable(messages[start : start + _BATCH])
                    published += self._publish(
                        keys=self._keys(queue),
                        args=[queue, announcement, self.mark.text, names.wake, names.freed, wake, *batch],
                    )
                    announcement = wake = ""  # with the first call only
        _raise(closed)
        return published

    def push_again(self, claims: Sequence[Claim]) -> None:
        """Put a message for each claim on its queue, whether or not Redis already has one.

        For messages that may be gone, or taken by a worker that is gone: if there are two, the fence lets one of them
        start. Raises RedisUnavailableError.
        """
        closed: dict[str, WrongKeyError] = {}
        for queue, waiting in _by_queue(claims).items():
            messages = _messages(waiting, 1)
            with self._queue(queue, closed):
                for start in range(0, len(messages), _BATCH):
                    batch = chain.from_iterable(messages[start : start + _BATCH])
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
        names = self._names
        return [names.waiting(queue), names.payloads(queue), names.priorities(queue), names.owner]


def _raise(closed: Mapping[str, WrongKeyError]) -> None:
    if closed:
        reasons = {queue: str(error) for queue, error in closed.items()}
        raise WrongKeyError("; ".join(dict.fromkeys(reasons.values())), closed, reasons)


def _by_queue(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """The most urgent first, and otherwise in the order given."""
    queues: defaultdict[str, list[Claim]] = defaultdict(list)
    for claim in sorted(claims, key=attrgetter("priority"), reverse=True):
        queues[claim.queue].append(claim)
    return queues


def _messages(claims: Sequence[Claim], jobs_most: int) -> list[tuple[str, str, int]]:
    """The id, payload and priority of each message."""
    return [(*seal(part), part[0].priority) for part in in_parts(claims, jobs_most)]


def in_parts(claims: Sequence[Claim], size: int) -> Iterator[Sequence[Claim]]:
    """The claims in their order, neighbours of one actor and priority up to `size` at a time."""
    for _, same in groupby(claims, key=attrgetter("actor", "priority")):
        neighbours = list(same)
        for start in range(0, len(neighbours), size):
            yield neighbours[start : start + size]

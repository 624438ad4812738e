"""The consumers of a process, by queue, for whoever wakes them."""

import threading
from collections import defaultdict
from typing import Protocol


class WokenConsumer(Protocol):
    def wake(self, priority: int | None = None) -> None:
        """There may be messages, or free slots for them; urgent messages where a priority is said."""

    def urgent_began(self, priority: int) -> None:
        """A job of this priority began here, for which others are held up in other processes."""

    def start_again(self) -> None:
        """Jobs that could not be started until now perhaps can be."""


class Consumers:
    """For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._consumers: defaultdict[str, set[WokenConsumer]] = defaultdict(set)

    @property
    def queues(self) -> list[str]:
        """All that there ever was a consumer of."""
        return sorted(self._consumers)

    def add(self, queue_name: str, consumer: WokenConsumer) -> None:
        with self._lock:
            self._consumers[queue_name].add(consumer)

    def remove(self, queue_name: str, consumer: WokenConsumer) -> None:
        with self._lock:
            self._consumers[queue_name].discard(consumer)

    def of(self, queue_name: str | None) -> list[WokenConsumer]:
        """Of one queue; of all with None."""
        with self._lock:
            queues = self._consumers.values() if queue_name is None else [self._consumers.get(queue_name, set())]
            return [consumer for consumers in queues for consumer in consumers]

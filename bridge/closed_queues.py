"""Queues that nothing can be put on, one by one, while Redis serves the others: a key of theirs is somebody else's."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.backoff import full_jitter
from bridge.errors import WrongKeyError

logger = logging.getLogger(__name__)

_REST_SECONDS, _REST_MOST_SECONDS = 0.25, 2.0


@dataclass(slots=True)
class _Closed:
    looks: int = 0
    next_look: float = 0.0

    def rest(self) -> None:
        self.looks += 1
        rest = full_jitter(self.looks, base_seconds=_REST_SECONDS, cap_seconds=_REST_MOST_SECONDS)
        self.next_look = time.monotonic() + _REST_SECONDS + rest


class ClosedQueues:
    """Any thread may close queues, one looks. `check` raises WrongKeyError as long as a queue's keys are wrong."""

    def __init__(self, check: Callable[[str], None]) -> None:
        self._check = check
        self._closed: dict[str, _Closed] = {}

    def close(self, error: WrongKeyError) -> None:
        for queue in error.queues:
            if queue not in self._closed:
                extra = {"queue": queue, "reason": error.reason_of(queue)}
                logger.error("A queue's jobs wait: Redis %s", error.condition, extra=extra)
            self._closed.setdefault(queue, _Closed()).rest()

    def open_among(self, room: Mapping[str, int]) -> dict[str, int]:
        """`room` without queues that are closed. Raises RedisUnavailableError."""
        # Those without room are looked at as well: `seconds_to_next_look` is of all, and would stay 0 for them.
        for queue in list(self._closed):
            self._look(queue)
        return {queue: jobs for queue, jobs in room.items() if queue not in self._closed}

    def seconds_to_next_look(self) -> float:
        """Of `open_among`, for any of the closed queues; infinite when none is."""
        next_look = min((closed.next_look for closed in list(self._closed.values())), default=math.inf)
        return max(0.0, next_look - time.monotonic())

    def _look(self, queue: str) -> None:
        closed = self._closed[queue]
        if time.monotonic() < closed.next_look:
            return
        try:
            self._check(queue)
        except WrongKeyError:
            closed.rest()
            return
        del self._closed[queue]
        logger.info("A queue's jobs are handed over again", extra={"queue": queue})

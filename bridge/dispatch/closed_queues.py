"""Queues that cannot be published to because another application wrote one of their keys, while the others can."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bridge.errors import WrongKeyError
from bridge.runtime.backoff import full_jitter

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Between two checks of a closed queue: it opens soon after an operator corrected the key, and costs little until then.
_REST_SECONDS, _REST_MOST_SECONDS = 0.25, 2.0


@dataclass(slots=True)
class _Closed:
    checks: int = 0
    next_check: float = 0.0

    def rest(self) -> None:
        self.checks += 1
        rest = full_jitter(self.checks, base_seconds=_REST_SECONDS, cap_seconds=_REST_MOST_SECONDS)
        self.next_check = time.monotonic() + _REST_SECONDS + rest


class ClosedQueues:
    """Any thread may close queues, one checks them. `check` raises WrongKeyError while a queue has a wrong key."""

    def __init__(self, check: Callable[[str], None]) -> None:
        self._check = check
        self._closed: dict[str, _Closed] = {}

    def close(self, error: WrongKeyError) -> None:
        for queue in error.queues:
            if queue not in self._closed:
                extra = {"queue": queue, "reason": error.reason_of(queue)}
                logger.error("A queue's jobs wait: Redis %s", error.condition, extra=extra)
            self._closed.setdefault(queue, _Closed()).rest()

    def open_among(self, available: Mapping[str, T]) -> dict[str, T]:
        """`available` without closed queues. Raises RedisUnavailableError."""
        # Checks all closed queues that are due, also those that are not in `available`: `seconds_to_next_check` is of
        # all, and would stay 0 for them.
        for queue in list(self._closed):
            self._check_again(queue)
        return {queue: value for queue, value in available.items() if queue not in self._closed}

    def seconds_to_next_check(self) -> float:
        """Until `open_among` checks one of the closed queues; infinite when no queue is closed."""
        next_check = min((closed.next_check for closed in list(self._closed.values())), default=math.inf)
        return max(0.0, next_check - time.monotonic())

    def _check_again(self, queue: str) -> None:
        closed = self._closed[queue]
        if time.monotonic() < closed.next_check:
            return
        try:
            self._check(queue)
        except WrongKeyError:
            closed.rest()
            return
        del self._closed[queue]
        logger.info("A queue's jobs are handed over again", extra={"queue": queue})

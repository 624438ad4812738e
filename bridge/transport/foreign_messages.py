"""Another application's messages on a queue of ours: left in place, searched for ours, and logged once."""

import logging
import time
from collections.abc import Callable

from bridge.runtime.backoff import full_jitter

logger = logging.getLogger(__name__)

STRETCH = 1000  # ids in one call: Redis does nothing else meanwhile
_NEXT_STRETCH_SECONDS = 0.02  # between two stretches of one search, so that others get their turn
# Between two searches of the whole queue. They seldom find anything, and there may be hundreds of thousands of ids.
_REST_SECONDS, _REST_MOST_SECONDS = 0.25, 15.0

# sift(queue, start, length) → how many ids wait, were read, were moved to the front, and one of somebody else's.
Sift = Callable[[str, int, int], tuple[int, int, int, str]]


class Strangers:
    """Of one queue. While another application's message is the first, the queue is searched a stretch at a time.

    What we publish goes before those messages (see `put` in lua/_ours.lua), so a search seldom finds anything: after
    each that does not, the rest is longer.
    """

    def __init__(self, queue: str, sift: Sift) -> None:
        self._queue = queue
        self._sift = sift
        self._start = 0
        self._moved = self._walks = 0
        self._is_logged = False
        self.next_at = 0.0

    def met(self) -> bool:
        """Their message is the first. Search behind it when that is due; True when ours were found."""
        if time.monotonic() < self.next_at:
            return False
        waiting, seen, moved, example = self._sift(self._queue, self._start, STRETCH)
        self._log(waiting - moved, example)
        self._moved += moved
        self._start += seen - moved  # what was moved to the front is taken soon
        rest = _NEXT_STRETCH_SECONDS
        if seen < STRETCH:
            self._walks = 0 if self._moved else self._walks + 1
            rest = _REST_SECONDS + full_jitter(self._walks, base_seconds=_REST_SECONDS, cap_seconds=_REST_MOST_SECONDS)
            self._start = self._moved = 0
        self.next_at = time.monotonic() + rest
        return moved > 0

    def _log(self, messages: int, example: str) -> None:
        if self._is_logged or not example:
            return
        self._is_logged = True
        logger.warning(
            "Another application's messages wait in our queue and are left alone: "
            "give the bridge a namespace of its own, REDIS_NAMESPACE=…",
            extra={"queue": self._queue, "messages": messages, "messageId": example[:80]},
        )

"""Another application's messages on a queue of ours: left in place, searched for ours, and logged once."""

import logging
import time
from collections.abc import Callable

from bridge.runtime.backoff import full_jitter

logger = logging.getLogger(__name__)

PART = 1000  # ids in one call: Redis does nothing else meanwhile
_NEXT_PART_SECONDS = 0.02  # between two parts of one search, so that Redis can serve others
# Between two searches of the whole queue. They rarely find anything, and there may be hundreds of thousands of ids.
_REST_SECONDS, _REST_MOST_SECONDS = 0.25, 15.0

# (queue, start, length) → how many ids wait, were read, and were moved to the front; and one foreign id, for the log.
Search = Callable[[str, int, int], tuple[int, int, int, str]]


class ForeignMessages:
    """Of one queue. While another application's message is the first, the queue is searched for ours, part by part.

    What we publish goes before those messages (see `put` in lua/_ours.lua), so a search rarely finds anything: after
    each that does not, the rest is longer.
    """

    def __init__(self, queue: str, search: Search) -> None:
        self._queue = queue
        self._search = search
        self._start = 0
        self._moved = self._empty_searches = 0
        self._is_logged = False
        self.next_at = 0.0

    def search(self) -> bool:
        """Search behind a foreign message, which is the first, when that is due; True when ours were found."""
        if time.monotonic() < self.next_at:
            return False
        waiting, seen, moved, example = self._search(self._queue, self._start, PART)
        self._log(waiting - moved, example)
        self._moved += moved
        self._start += seen - moved  # what was moved to the front is taken soon
        rest = _NEXT_PART_SECONDS
        if seen < PART:
            self._empty_searches = empty = 0 if self._moved else self._empty_searches + 1
            rest = _REST_SECONDS + full_jitter(empty, base_seconds=_REST_SECONDS, cap_seconds=_REST_MOST_SECONDS)
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

"""An answer that is kept for some seconds."""

import threading
import time
from collections.abc import Callable
from typing import Any

from bridge.errors import BridgeError

FAILURE_SECONDS = 1.0  # at most: an outage lasts longer, and whoever comes back hears soon that it is over


class Cached:
    """Keeps the last answer for `seconds`, and asks one question at a time: many viewers cost no more than one.

    A failure is an answer, too: viewers who wait for a silent store must not wait one after the other, each as long.
    """

    def __init__(self, ask: Callable[[], Any], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answer: Any = None
        self._failure: BridgeError | None = None
        self._until = float("-inf")

    def get(self) -> Any:
        """Raises what the question raised."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._renew()
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            return self._answer

    def _renew(self) -> None:
        seconds = self._seconds
        try:
            self._answer, self._failure = self._ask(), None
        except BridgeError as error:
            self._failure = error
            seconds = min(seconds, FAILURE_SECONDS)
        self._until = time.monotonic() + seconds

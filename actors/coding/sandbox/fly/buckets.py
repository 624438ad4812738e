"""How many requests the Machines API takes: those above would be refused."""

import threading
import time
from collections.abc import Callable

RATE = (
    0.8  # a second, for each action and machine (or app). The API takes 1: requests are not equally long on their way
)
BURST = 3.0  # of them at once: from the API's reference


class Buckets:
    """Makes callers wait before a request, so that none is refused. Thread-safe."""

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._next: dict[tuple[str, str], float] = {}

    def take(self, action: str, scope: str) -> None:
        """Wait until the action may be asked for of a machine or app. Each one that waits has its turn reserved."""
        with self._lock:
            now = self._clock()
            # The time at which the bucket would be full again, if nothing else came.
            full_at = max(self._next.get((action, scope), now), now) + 1 / RATE
            self._next[action, scope] = full_at
        wait = full_at - now - BURST / RATE
        if wait > 0:
            self._sleep(wait)

"""An answer that is kept for some seconds."""

import threading
import time
from collections.abc import Callable
from typing import Any


class Cached:
    """Keeps the last answer for `seconds`, and asks one question at a time: many viewers cost no more than one."""

    def __init__(self, ask: Callable[[], Any], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answer: Any = None
        self._asked_at = float("-inf")

    def get(self) -> Any:
        with self._lock:
            if time.monotonic() - self._asked_at >= self._seconds:
                self._answer = self._ask()
                self._asked_at = time.monotonic()
            return self._answer

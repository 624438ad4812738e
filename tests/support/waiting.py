"""Wait for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, seconds: float = 10.0, what: str = "the condition") -> T:
    """Returns the first true value of `condition`. AssertionError if there is none in time.

    Asks a hundred times a second at first, later less often: many tests wait side by side, and asking costs time.
    """
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        assert waited < seconds, f"waited {seconds} s in vain for {what}; last value: {value!r}"
        time.sleep(min(max(0.01, waited / 20), 0.05))

"""Wait for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, seconds: float = 10.0, what: str = "the condition") -> T:
    """Returns the first true value of `condition`. AssertionError if there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}; last value: {value!r}"
        time.sleep(0.01)

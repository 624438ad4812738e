"""Slows down those who guess passwords: after some wrong ones, an address must wait, longer each time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_FAILURES = 5  # in a row: more typing errors than anybody makes
FIRST_WAIT_SECONDS = 2.0  # after these; then twice as long each time
LONGEST_WAIT_SECONDS = 300.0  # a thousand guesses take three days, and a mistaken colleague waits for a coffee
_ADDRESSES_MOST = 10_000  # remembered: the oldest are forgotten first, so that an attacker cannot fill the memory


@dataclass(slots=True)
class _Failures:
    count: int = 0
    blocked_until: float = 0.0


class FailedLogins:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_address: OrderedDict[str, _Failures] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """How long this address must wait before it may try again. 0: it may now."""
        with self._lock:
            known = self._by_address.get(address)
            return max(0.0, known.blocked_until - self._clock()) if known else 0.0

    def failed(self, address: str) -> None:
        with self._lock:
            known = self._by_address.setdefault(address, _Failures())
            self._by_address.move_to_end(address)
            known.count += 1
            if known.count >= FREE_FAILURES:
                doubled = FIRST_WAIT_SECONDS * 2 ** min(known.count - FREE_FAILURES, 20)
                known.blocked_until = self._clock() + min(doubled, LONGEST_WAIT_SECONDS)
            while len(self._by_address) > _ADDRESSES_MOST:
                self._by_address.popitem(last=False)

    def succeeded(self, address: str) -> None:
        with self._lock:
            self._by_address.pop(address, None)

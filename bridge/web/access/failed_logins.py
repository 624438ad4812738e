"""Slows down those who guess passwords: after some wrong ones, who sent them must wait, longer each time."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_FAILURES = 5  # in a row: more typing errors than anybody makes
FIRST_WAIT_SECONDS = 2.0  # after these; then twice as long each time
LONGEST_WAIT_SECONDS = 300.0  # a thousand guesses take three days, and a mistaken colleague waits for a coffee
FORGOTTEN_SECONDS = 3600.0  # after the last failure: typing errors of last week are no guesses
_GUESSERS_MOST = 10_000  # remembered: the oldest are forgotten first, so that an attacker cannot fill the memory
_NAMES_APART = 16  # of one address: names of any number could push others out of that memory


def guesser(address: str, user: str, known_role: str | None) -> str:
    """Whose wrong passwords are counted together: those from one address for one name.

    A browser that had a login before is counted apart: where all come from the address of a proxy, a stranger who
    guesses must not keep it out. All names are told apart, so that who must wait does not tell which is right.
    """
    name = hashlib.sha256(user.encode()).digest()[0] % _NAMES_APART
    return f"{address} {known_role or name}"


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_at: float = 0.0
    blocked_until: float = 0.0


class FailedLogins:
    """Counts for each guesser, see `guesser`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_guesser: OrderedDict[str, _Failures] = OrderedDict()

    def wait_seconds(self, guesser: str) -> float:
        """How long this guesser must wait before it may try again. 0: it may now."""
        with self._lock:
            known = self._by_guesser.get(guesser)
            return max(0.0, known.blocked_until - self._clock()) if known else 0.0

    def failed(self, guesser: str) -> None:
        with self._lock:
            now = self._clock()
            known = self._by_guesser.setdefault(guesser, _Failures())
            self._by_guesser.move_to_end(guesser)
            known.count = known.count + 1 if now - known.last_at <= FORGOTTEN_SECONDS else 1
            known.last_at = now
            if known.count >= FREE_FAILURES:
                doubled = FIRST_WAIT_SECONDS * 2 ** min(known.count - FREE_FAILURES, 20)
                known.blocked_until = now + min(doubled, LONGEST_WAIT_SECONDS)
            while len(self._by_guesser) > _GUESSERS_MOST:
                self._by_guesser.popitem(last=False)

    def succeeded(self, guesser: str) -> None:
        with self._lock:
            self._by_guesser.pop(guesser, None)

"""How many jobs a worker process takes: one for each thread, and while jobs are short a stock besides."""

import threading
import time
from collections.abc import Callable

_STOCK_SECONDS = 0.1
_STOCK_MOST = 500
_SHORT_SECONDS = 0.01
_SLOW_STOCK_SECONDS = 0.02
_SPAN_SECONDS = 0.1
_MEASURED_SECONDS = 0.01
_QUIET_SECONDS = 0.5


class Slots:
    """Shared by all consumers of a process, so that together they take no more than its threads can run.

    The stock is what the process finishes in a tenth of a second, by what it has just finished: fetching and
    starting jobs takes as long for many as for few, and goes on while the threads are at work. Jobs of more than
    some milliseconds get a stock of 20 ms, which hides the way to the next one: for jobs of seconds that is none,
    and each is taken when a thread is free. `stock=False` keeps to the threads. While `is_isolating` says so, there is
    no room.
    """

    def __init__(self, threads: int, *, stock: bool = True, is_isolating: Callable[[], bool] = lambda: False) -> None:
        self._threads = threads
        self._keeps_stock = stock
        self._is_isolating = is_isolating
        self._lock = threading.Lock()
        self._held = 0
        self._reserved = 0  # of those, for a look that is under way
        self._refused: list[Callable[[], None]] = []
        self._stock = 0
        self._done = 0
        self._rate = 0.0
        self._covered = 0.0  # of the average's span; the first moments must not count for the whole of it
        self._measured_at = time.monotonic()

    def reserve(self, wake: Callable[[], None]) -> int:
        """Take all the room there is; 0 when there is none. To be followed by `settle`.

        `wake` is called when room comes back that somebody else had reserved and did not use: who asked
        meanwhile was told that there was none.
        """
        with self._lock:
            self._measure()
            room = 0 if self._is_isolating() else max(0, self._threads + self._stock - self._held)
            if room == 0 and self._reserved > 0:
                self._refused.append(wake)
            self._held += room
            self._reserved += room
            return room

    def settle(self, reserved: int, taken: int) -> None:
        """So many jobs came for what was reserved; a message of several may bring more than that."""
        with self._lock:
            self._held += taken - reserved
            self._reserved -= reserved
            if reserved == 0 or taken >= reserved:
                return
            refused, self._refused = self._refused, []
        for wake in refused:  # not the caller: it has looked, and would do so for ever
            wake()

    def has_room(self) -> bool:
        with self._lock:
            return self._held < self._threads + self._stock

    def free(self) -> bool:
        """One job is done with; True when it is worth looking for more."""
        with self._lock:
            self._held -= 1
            self._done += 1
            room = self._threads + self._stock - self._held
            return self._held <= 0 or room >= max(1, self._stock * 3 // 4)

    def _measure(self) -> None:
        now = time.monotonic()
        elapsed = now - self._measured_at
        if not self._keeps_stock or elapsed < _MEASURED_SECONDS:
            return
        if elapsed > _QUIET_SECONDS:
            self._rate = self._covered = 0.0
        else:
            weight = min(1.0, elapsed / _SPAN_SECONDS)
            self._rate += weight * (self._done / elapsed - self._rate)
            self._covered += weight * (1 - self._covered)
        rate = self._rate / self._covered if self._covered else 0.0
        is_short = rate * _SHORT_SECONDS >= self._threads
        self._stock = min(_STOCK_MOST, int(rate * (_STOCK_SECONDS if is_short else _SLOW_STOCK_SECONDS)))
        self._done = 0
        self._measured_at = now

"""How many jobs a worker process takes: one for each thread, and while jobs are short a small stock besides."""

import threading
import time
from collections.abc import Callable

_STOCK_SECONDS = 0.05
_STOCK_MOST = 200
_MEASURED_SECONDS = 0.05


class Slots:
    """Shared by all consumers of a process, so that together they take no more than its threads can run.

    The stock is what the process finishes in 50 ms, by what it has just finished: short jobs then need not wait
    for the next fetch, and long ones are never taken before a thread is free. `stock=False` keeps to the threads.
    """

    def __init__(self, threads: int, *, stock: bool = True) -> None:
        self._threads = threads
        self._keeps_stock = stock
        self.closed: Callable[[], bool] = lambda: False  # while it says so, there is no room
        self._lock = threading.Lock()
        self._held = 0
        self._stock = 0
        self._done = 0
        self._rate = 0.0
        self._measured_at = time.monotonic()

    def reserve(self) -> int:
        """Take all the room there is; 0 when there is none. To be followed by `settle`."""
        with self._lock:
            self._measure()
            room = 0 if self.closed() else max(0, self._threads + self._stock - self._held)
            self._held += room
            return room

    def settle(self, reserved: int, taken: int) -> None:
        """So many jobs came for what was reserved; a message of several may bring more than that."""
        with self._lock:
            self._held += taken - reserved

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
        elapsed = time.monotonic() - self._measured_at
        if not self._keeps_stock or elapsed < _MEASURED_SECONDS:
            return
        weight = min(1.0, 5 * elapsed)
        self._rate += weight * (self._done / elapsed - self._rate)
        self._stock = min(_STOCK_MOST, int(self._rate * _STOCK_SECONDS))
        self._done = 0
        self._measured_at += elapsed

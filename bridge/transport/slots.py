"""How many jobs a worker process takes: one for each thread and, while jobs are short, some more in stock."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

# The stock hides the time to fetch and start jobs, which is about the same for many as for one. When the process dies,
# each job in stock has spent a retry: so it is limited, and smaller while jobs take longer than _SHORT_SECONDS each.
_STOCK_SECONDS, _STOCK_MOST = 0.1, 500
_SHORT_SECONDS, _SLOW_STOCK_SECONDS = 0.01, 0.02  # a job of 10 ms hides much of a fetch by itself
_AVERAGE_SECONDS = 0.1  # as long as the stock: a change of load is followed before the stock is used up
_MEASURED_SECONDS = 0.01  # shorter spans hold too few jobs to measure a rate
_MOVING_SECONDS = 0.1  # since the last job was done: another will be soon
_QUIET_SECONDS = 0.5  # after such a gap the old rate does not predict the next jobs


class Room(NamedTuple):
    """For so many `jobs`, and for so many `beyond` these of those that are more urgent than `floor`."""

    jobs: int
    beyond: int = 0
    floor: int = 0


class Slots:
    """Shared by all consumers of a process, so that together they take no more than its threads can run.

    The stock is what the process finishes in _STOCK_SECONDS, measured by what it has just finished; with longer jobs,
    in _SLOW_STOCK_SECONDS. For jobs of seconds that is nothing: each is taken when a thread is free. `stock=False`
    takes one job for each thread only. While `takes_nothing` says so, no slot is free.

    A more urgent job does not wait for a slot while `least_urgent`, the lowest priority among the jobs that wait here
    for a thread, is below its own: it overtakes them. So many may come besides as there are threads. But not while jobs
    take long here: elsewhere a thread may be free.
    """

    def __init__(
        self,
        threads: int,
        *,
        stock: bool = True,
        takes_nothing: Callable[[], bool] = lambda: False,
        least_urgent: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._threads = threads
        self._keeps_stock = stock
        self._takes_nothing = takes_nothing
        self._least_urgent = least_urgent
        self._lock = threading.Lock()
        self._held = 0
        self._reserved = 0  # of those held, by a fetch in progress
        self._to_wake: list[Callable[[], None]] = []
        self._urgent_wait = False  # in Redis, for one of the places beyond the slots
        self._stock = 0
        self._released_at = float("-inf")
        self.are_short = False  # the jobs that were done lately
        self._done = 0
        self._rate = 0.0
        self._covered = 0.0  # the part of _AVERAGE_SECONDS that was seen: without it, the rate would start too low
        self._measured_at = time.monotonic()

    def reserve(self, wake: Callable[[], None]) -> Room:
        """Take all free slots and return how many; call `confirm` afterwards.

        When there are none, `wake` is called as soon as another consumer gives back slots that it had reserved and did
        not use.
        """
        with self._lock:
            self._measure()
            if self._takes_nothing():
                free = beyond = 0
            else:
                free = max(0, self._threads + self._stock - self._held)
                is_moving = time.monotonic() - self._released_at < _MOVING_SECONDS
                beyond = max(0, 2 * self._threads + self._stock - self._held - free) if is_moving else 0
            if free == 0 and self._reserved > 0:
                self._to_wake.append(wake)
            self._held += free
            self._reserved += free
        floor = self._least_urgent() if beyond else None
        return Room(free) if floor is None else Room(free, beyond, floor)

    def confirm(self, reserved: int, taken: int, *, urgent_wait: bool = False) -> None:
        """Keep a slot for each of `taken` jobs and give back the others. There may be more of them than slots.

        `urgent_wait`: all were taken that may go beyond the slots, and more may wait.
        """
        with self._lock:
            self._held += taken - reserved
            self._reserved -= reserved
            self._urgent_wait |= urgent_wait
            if reserved == 0 or taken >= reserved:
                return
            to_wake, self._to_wake = self._to_wake, []
        for wake in to_wake:  # not the caller's: it has just polled, and would spin
            wake()

    def urgent_waits(self, priority: int) -> bool:
        """A job of this priority was published; True when it would overtake one that waits here."""
        with self._lock:
            self._urgent_wait = True
        return self.overtakes(priority)

    def overtakes(self, priority: int) -> bool:
        least = self._least_urgent()
        return least is not None and least < priority

    def has_free(self) -> bool:
        with self._lock:
            return self._held < self._threads + self._stock

    def release(self) -> bool:
        """One job is done; True when enough slots are free to be worth a fetch, or urgent jobs wait for it."""
        with self._lock:
            self._held -= 1
            self._done += 1
            self._released_at = time.monotonic()
            urgent_wait, self._urgent_wait = self._urgent_wait, False
            free = self._threads + self._stock - self._held
            # A fetch for a few slots costs as much as one for many.
            return urgent_wait or self._held <= 0 or free >= max(1, self._stock * 3 // 4)

    def _measure(self) -> None:
        now = time.monotonic()
        elapsed = now - self._measured_at
        if not self._keeps_stock or elapsed < _MEASURED_SECONDS:
            return
        if elapsed > _QUIET_SECONDS:
            self._rate = self._covered = 0.0
        else:
            weight = min(1.0, elapsed / _AVERAGE_SECONDS)
            self._rate += weight * (self._done / elapsed - self._rate)
            self._covered += weight * (1 - self._covered)
        rate = self._rate / self._covered if self._covered else 0.0
        self.are_short = rate * _SHORT_SECONDS >= self._threads
        self._stock = min(_STOCK_MOST, int(rate * (_STOCK_SECONDS if self.are_short else _SLOW_STOCK_SECONDS)))
        self._done = 0
        self._measured_at = now

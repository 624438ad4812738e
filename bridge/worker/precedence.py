"""What is less urgent begins in no worker process while an urgent job is on its way to a thread of one of them."""

import threading
import time

# By then an urgent job has begun, or its process has died, or all threads there got long jobs.
_MOST_SECONDS = 0.1
# However many urgent jobs come, others are held up for no longer than they were not, of which so much is remembered.
_CREDIT_MOST_SECONDS = 0.25


class Precedence:
    """Of a worker process; for all its threads.

    An urgent job is expected from its publication until its beginning in one of the processes is announced. Meanwhile
    what is less urgent is held up.
    """

    def __init__(self) -> None:
        self.expected: dict[int, int] = {}  # priority → jobs
        self.floor: int | None = None  # the least priority that may begin; read without the lock, like `expected`
        self._changed = threading.Condition()
        self._until = 0.0
        self._held_since = self._free_since = time.monotonic()
        self._credit = _CREDIT_MOST_SECONDS

    def expect(self, priority: int, jobs: int, *, hold: bool) -> None:
        """So many jobs of this priority were published. `hold` up others until they have begun."""
        now = time.monotonic()
        with self._changed:
            if now >= self._until:
                self._end(now)
            self.expected[priority] = self.expected.get(priority, 0) + jobs
            if self.floor is not None:
                self.floor = max(self.expected)
            elif hold and (most := self._seconds_to_hold(now)) > 0:
                self._held_since, self._until = now, now + most
                self.floor = max(self.expected)
            else:
                self._until = now + _MOST_SECONDS

    def began(self, priority: int) -> None:
        """One of them began, here or elsewhere."""
        with self._changed:
            left = self.expected.pop(priority, 0) - 1
            if left > 0:
                self.expected[priority] = left
            if not self.expected:
                self._end(time.monotonic())
            elif self.floor is not None:
                self.floor = max(self.expected)
            self._changed.notify_all()

    def arrived(self) -> None:
        """A job came that those who wait may take."""
        with self._changed:
            self._changed.notify_all()

    def wait(self) -> None:
        """Until something changes, or for as long as others may be held up."""
        with self._changed:
            now = time.monotonic()
            if now >= self._until:
                self._end(now)
                self._changed.notify_all()
            elif self.floor is not None:
                self._changed.wait(self._until - now)

    def _seconds_to_hold(self, now: float) -> float:
        self._credit = min(_CREDIT_MOST_SECONDS, self._credit + now - self._free_since)
        self._free_since = now
        return min(_MOST_SECONDS, self._credit)

    def _end(self, now: float) -> None:
        self.expected.clear()
        if self.floor is not None:
            self.floor = None
            self._credit -= now - self._held_since
            self._free_since = now

"""How long hand-overs take: counted in memory until the history takes it, as the database has no time of their end."""

import threading
import time
from collections import Counter

from bridge.postgres.history import latency_bucket
from bridge.postgres.queue_rows import HandOvers

_MINUTE_SECONDS = 60  # what the history keeps apart


class HandOverTimes:
    """Counts for all threads of the bridge: once for each batch of a queue, so that no job pays for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: Counter[HandOvers] = Counter()

    def count(self, queue: str, jobs: int, asked_at: float) -> None:
        """Redis has just acknowledged so many jobs, which Postgres was asked for at `asked_at` (monotonic)."""
        minute = int(time.time()) // _MINUTE_SECONDS * _MINUTE_SECONDS
        counted = HandOvers(minute, queue, latency_bucket(time.monotonic() - asked_at))
        with self._lock:
            self._jobs[counted] += jobs

    def take(self) -> Counter[HandOvers]:
        """How many jobs were counted since the last call."""
        with self._lock:
            taken, self._jobs = self._jobs, Counter()
        return taken


class ClaimTimes:
    """When the claims of a queue were made that are not published yet, in the order in which they will be.

    What is claimed later is more urgent than all that is kept (see `HandOver.floors`), so it is published before it.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[int, float]] = []  # jobs, and when Postgres was asked for them; the next one last

    def claimed(self, jobs: int, asked_at: float) -> None:
        self._batches.append((jobs, asked_at))

    def take(self, jobs: int) -> list[tuple[int, float]]:
        """Of the next so many jobs: how many were asked for at which moment."""
        taken = []
        while jobs > 0:
            batch, asked_at = self._batches.pop()
            part = min(jobs, batch)
            taken.append((part, asked_at))
            if part < batch:
                self._batches.append((batch - part, asked_at))
            jobs -= part
        return taken

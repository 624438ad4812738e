"""The clients: one inserts the plan's jobs in their small transactions, one cancels some of them."""

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from tests.campaign.evidence import Fate, Sent
from tests.campaign.plan import Batch, PlannedJob
from tests.campaign.world import QUEUE, World

_INSERT = """
INSERT INTO coding_jobs (id, actor, queue, payload, priority, max_retries, run_at, session_id)
VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp() + %s * interval '1 second', %s)
"""
_INSERT_SESSION = "INSERT INTO coding_sessions (id) VALUES (%s)"


class _Client(threading.Thread):
    """Keeps a link to Postgres, and reconnects after each of its crashes."""

    def __init__(self, name: str, connect: "Callable[[], psycopg.Connection[Any]]") -> None:
        super().__init__(name=name, daemon=True)
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(30)

    def connection(self) -> "psycopg.Connection[Any] | None":
        """A working link, or None if the client is stopped while there is none."""
        while not self._stopping.is_set():
            with suppress(psycopg.Error):
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                return self._connection
            self._stopping.wait(0.1)
        return None


class Inserter(_Client):
    """Inserts the plan's jobs. `sent` has each of them: committed, rolled back, or interrupted in between."""

    def __init__(self, world: World, batches: Sequence[Batch]) -> None:
        super().__init__("inserter", world.connect_as_client)
        self._batches = batches
        self.sent: list[Sent] = []
        self.canceller = Canceller(world)

    def run(self) -> None:
        self.canceller.start()
        began = time.monotonic()
        for batch in self._batches:
            if self._stopping.wait(max(0.0, began + batch.at - time.monotonic())):
                return
            self._send(batch)

    def _send(self, batch: Batch) -> None:
        connection = self.connection()
        if connection is None:
            return
        try:
            with connection.transaction(force_rollback=not batch.commits), connection.cursor() as cursor:
                cursor.executemany(
                    _INSERT_SESSION, [(session,) for session in {job.session for job in batch.jobs} - {None}]
                )
                cursor.executemany(_INSERT, [_row(job) for job in batch.jobs])
            fate = Fate.COMMITTED if batch.commits else Fate.ROLLED_BACK
        except psycopg.Error:
            fate = Fate.UNKNOWN if batch.commits else Fate.ROLLED_BACK
        now = time.time()
        self.sent += [Sent(job.id, job.kind, fate, now) for job in batch.jobs]
        if fate is Fate.COMMITTED:
            for job in batch.jobs:
                if job.cancel_after is not None:
                    self.canceller.cancel_at(time.monotonic() + job.cancel_after, job.id)

    def stop(self) -> None:
        super().stop()
        self.canceller.stop()


class Canceller(_Client):
    """The operator: requests each cancel until Postgres has answered."""

    def __init__(self, world: World) -> None:
        super().__init__("canceller", world.connect)
        self._due: list[tuple[float, UUID]] = []
        self._lock = threading.Lock()

    def cancel_at(self, moment: float, job_id: UUID) -> None:
        with self._lock:
            heapq.heappush(self._due, (moment, job_id))

    def run(self) -> None:
        while not self._stopping.wait(0.05):
            while (job_id := self._next()) is not None:
                try:
                    connection = self.connection()
                    if connection is None:
                        return
                    connection.execute("SELECT cancel_job(%s, 'campaign', 'planned')", [job_id])
                except psycopg.Error:
                    self.cancel_at(time.monotonic() + 0.2, job_id)

    def _next(self) -> UUID | None:
        with self._lock:
            if self._due and self._due[0][0] <= time.monotonic():
                return heapq.heappop(self._due)[1]
        return None


def _row(job: PlannedJob) -> tuple[Any, ...]:
    return (
        job.id, str(job.kind), QUEUE, Jsonb(dict(job.payload)), job.priority, job.max_retries,
        job.run_after, job.session,
    )  # fmt: skip

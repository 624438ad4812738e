"""`job.flush()`: waits until what an attempt has emitted is stored."""

import time
from collections.abc import Container
from queue import Empty, SimpleQueue
from uuid import UUID

from bridge.errors import BridgeError, NotOursError, PostgresUnavailableError
from bridge.postgres.attempts import AttemptKey

_STEP_SECONDS = 0.05  # an interrupt reaches the waiting actor between two steps


class Flush:
    """Queued with the reports, behind the events of its attempt: it is answered when they are written.

    The answer comes by a SimpleQueue, whose `put` is atomic: the actor may be interrupted anywhere, and must not leave
    a lock behind that the writer of all reports would wait for.
    """

    def __init__(self, key: AttemptKey) -> None:
        self.key = key
        self._answer: SimpleQueue[BridgeError | None] = SimpleQueue()

    def written(self, held: Container[UUID | None]) -> None:
        """The events before it are written, if their attempt is one of `held`; if not, they were dropped."""
        self._answer.put(
            None
            if self.key.exec in held
            else NotOursError("this attempt is not the job's current one any more: its events are not stored")
        )

    def failed(self, error: BridgeError) -> None:
        self._answer.put(error)

    def wait(self, timeout_seconds: float) -> None:
        """Raises NotOursError, PostgresUnavailableError when there is no answer in time, or what `failed` got."""
        give_up_at = time.monotonic() + timeout_seconds
        while True:
            left = give_up_at - time.monotonic()
            try:
                error = self._answer.get(timeout=max(0, min(left, _STEP_SECONDS)))
            except Empty:
                if left > 0:
                    continue
                raise PostgresUnavailableError(
                    f"the job's events are not stored after {timeout_seconds:g} s: Postgres does not take them"
                ) from None
            if error is not None:
                raise error
            return

"""Start calls of a worker process: a whole fetch in one statement."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from bridge.attempts import AttemptBook, Held
from bridge.errors import BridgeError, PostgresBusyError, RightsError, SchemaError, StoreUnavailableError
from bridge.job import Attempt

logger = logging.getLogger(__name__)


class Starts:
    """Takes up attempts. What is not in the answer is not ours to run: a no unless it is a clear yes."""

    def __init__(self, book: AttemptBook, worker: Callable[[], UUID]) -> None:
        self._book = book
        self._worker = worker
        self._lock = threading.Lock()  # the consumers of several queues share the link

    def close(self) -> None:
        self._book.close()

    def keep(self, held: Sequence[Held], lease: timedelta) -> set[UUID]:
        """Prolong hand-overs that cannot be started yet; the ids of those that are still ours to start."""
        with self._lock:
            return self._book.keep(held, lease)

    def start(self, held: Sequence[Held]) -> tuple[dict[UUID, Attempt], list[Held]]:
        """By exec, the attempts that are ours now; and those that met a lock, to be asked for again.

        Asking twice for the same exec gives the same answer. Raises StoreUnavailableError, RightsError or
        SchemaError when nothing can be said now.
        """
        try:
            with self._lock:
                return self._book.start(self._worker(), held), []
        except PostgresBusyError:
            if len(held) == 1:
                return {}, list(held)
        except (StoreUnavailableError, RightsError, SchemaError):
            raise
        except BridgeError as error:
            if len(held) == 1:
                logger.error("A job cannot be started", extra={"jobId": str(held[0].job_id), "reason": str(error)})
                return {}, []
        # One that does not get through must not hold up the others.
        started: dict[UUID, Attempt] = {}
        later: list[Held] = []
        for one in held:
            ours, busy = self.start([one])
            started |= ours
            later += busy
        return started, later

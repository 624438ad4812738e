"""The start calls of a worker process: one statement for a whole fetch."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from bridge.errors import MAY_PASS, BridgeError, PostgresBusyError
from bridge.job import Attempt, Failed
from bridge.postgres.attempts import AttemptKey, Attempts
from bridge.runtime.watchdog import WATCHDOG
from bridge.worker.ending import Ending

logger = logging.getLogger(__name__)

_QUEUED_SECONDS = 600.0  # many consumers may wait for each other here, and each may wait for Postgres


class Starts:
    """Starts attempts. An attempt that is missing in the answer is not ours, and must not run."""

    def __init__(self, attempts: Attempts, submit: Callable[[Ending], None]) -> None:
        self._attempts = attempts
        self._submit = submit
        self._lock = threading.Lock()  # the consumers of several queues share the link

    def close(self) -> None:
        self._attempts.close()

    def _link_lock(self) -> threading.Lock:
        """The lock; while this thread waits for it, the watchdog must not take it for stalled."""
        WATCHDOG.turn(_QUEUED_SECONDS)
        return self._lock

    def keep(self, keys: Sequence[AttemptKey], lease: timedelta) -> set[UUID]:
        """Prolong hand-overs that cannot be started yet; returns the ids of those that are still ours to start."""
        with self._link_lock():
            return self._attempts.keep(keys, lease)

    def created_at(self, job_id: UUID) -> datetime | None:
        """When the job was inserted; None when it is deleted. Raises StoreUnavailableError."""
        with self._link_lock():
            return self._attempts.created_at(job_id)

    def start(
        self, keys: Sequence[AttemptKey], worker: Callable[[], UUID]
    ) -> tuple[dict[UUID, Attempt], list[AttemptKey]]:
        """By exec, the attempts that are ours now; and those whose row is locked, to be asked for again.

        `worker` gives the id to start them under; it is asked when the link is free, as it may change until then.
        Asking twice for the same exec gives the same answer. Raises StoreUnavailableError, RightsError or
        SchemaError when Postgres cannot answer now.
        """
        try:
            with self._link_lock():
                return self._attempts.start(worker(), keys), []
        except Exception as error:  # noqa: BLE001 -- see _not_started
            if len(keys) == 1 or _concerns_all(error):
                return {}, self._not_started(keys[0], error)
        return self._start_one_by_one(keys, worker)

    def _start_one_by_one(
        self, keys: Sequence[AttemptKey], worker: Callable[[], UUID]
    ) -> tuple[dict[UUID, Attempt], list[AttemptKey]]:
        """An attempt that cannot be started must not block the others."""
        started: dict[UUID, Attempt] = {}
        later: list[AttemptKey] = []
        for one in keys:
            try:
                with self._link_lock(), self._attempts.in_haste():
                    started |= self._attempts.start(worker(), [one])
            except Exception as error:  # noqa: BLE001 -- see _not_started
                later += self._not_started(one, error)
        return started, later

    def _not_started(self, key: AttemptKey, error: Exception) -> list[AttemptKey]:
        """The attempt, if its row is locked, to try it again. Raises an error that concerns all attempts.

        Any other error is this attempt's own: Python may fail to read its row in many ways.
        """
        if isinstance(error, PostgresBusyError):
            return [key]
        if _concerns_all(error):
            raise error
        self._give_up(key, error)
        return []

    def _give_up(self, key: AttemptKey, error: Exception) -> None:
        logger.error("A job cannot be started", extra={"jobId": str(key.job_id), "reason": str(error)})
        if isinstance(error, BridgeError):
            unstarted = AttemptKey(key.job_id, key.fence, None)
            self._submit(Ending(unstarted, Failed(f"the database refused its start: {error}")))
        else:  # the start is committed, but its answer cannot be read
            self._submit(Ending(key, Failed(f"the payload cannot be read: {error}", final=True)))


def _concerns_all(error: Exception) -> bool:
    return isinstance(error, MAY_PASS) and not isinstance(error, PostgresBusyError)

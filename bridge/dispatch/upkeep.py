"""Keeps the tables small and the history complete: folds counts, prunes, records minutes, names what holds vacuum.

It also acts on bulk operations: they need no loop of their own, as each batch is short.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from bridge.dispatch.bulk import BulkOperations
from bridge.dispatch.history import HistoryRecorder
from bridge.dispatch.retention import Retention
from bridge.errors import (
    BridgeError,
    PostgresBusyError,
    PostgresRefusedError,
    RightsError,
    SchemaError,
    StoreUnavailableError,
)
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.queue_rows import HELD_SECONDS
from bridge.runtime.outages import ErrorReporter

logger = logging.getLogger(__name__)

_FOLD_MOST = 10_000  # rows in one statement, so that it stays short
# Statistics add up all rows that are not folded yet. So many of them in one round mean traffic, and a shorter rest.
_MANY = 100
# An idle database is asked rarely; under traffic there are no more rows to add up than about a second makes.
_REST_SECONDS, _BUSY_REST_SECONDS = 10.0, 1.0
_HOLDER_CHECK_SECONDS = 60.0  # often enough for transactions that are reported after HELD_SECONDS (five minutes)
_PRUNE_WORKERS_SECONDS = 3600.0  # often enough for rows that are kept for days
_WORKERS_KEPT = timedelta(days=7)  # so that a failure of last week can still be traced to its worker process
_FOLD, _PRUNE, _HISTORY = "add up the counts of jobs", "delete finished jobs", "record the history"
_HOLDERS, _WORKERS = "find what holds back vacuum", "delete workers that ended"
_BULK = "act on the jobs of a bulk operation"
T = TypeVar("T")


class Upkeep:
    """Every bridge does this: each part is a short statement, and harmless when two bridges run it at once.

    A part that Postgres refuses does not stop the others. `retention` None keeps finished jobs for ever.
    """

    def __init__(self, queue: JobQueue, *, retention: timedelta | None) -> None:
        self._queue = queue
        self._retention = None if retention is None else Retention(queue, retention)
        self._bulk = BulkOperations(queue)
        self._history = HistoryRecorder(queue)
        self._check_holders_at = 0.0
        self._held_by: str | None = None
        self._prune_workers_at = 0.0
        self._errors = {
            what: ErrorReporter("upkeep", partial(_message, what), f"Upkeep goes on: {what}")
            for what in (_FOLD, _PRUNE, _HISTORY, _HOLDERS, _WORKERS, _BULK)
        }

    def step(self) -> float:
        """One round; the seconds to rest until the next. Raises BridgeError when no part could succeed."""
        folded = self._try(_FOLD, lambda: self._queue.fold_job_counts(limit=_FOLD_MOST)) or 0
        self._try(_HISTORY, self._history.step)  # before jobs that it counts are deleted
        more = self._retention is not None and self._try(_PRUNE, self._retention.step)
        if time.monotonic() >= self._check_holders_at:
            self._check_holders_at = time.monotonic() + _HOLDER_CHECK_SECONDS
            self._try(_HOLDERS, self._check_holders)
        if time.monotonic() >= self._prune_workers_at:
            self._prune_workers_at = time.monotonic() + _PRUNE_WORKERS_SECONDS  # first: an error must wait, too
            self._try(_WORKERS, lambda: self._queue.prune_workers(_WORKERS_KEPT))
        until_batch = self._try(_BULK, self._bulk.step)
        if more or folded >= _FOLD_MOST // 2:
            return 0.0
        rest = _BUSY_REST_SECONDS if folded >= _MANY else _REST_SECONDS
        return rest if until_batch is None else min(rest, until_batch)

    def _try(self, what: str, step: Callable[[], T]) -> T | None:
        try:
            result = step()
        except (PostgresBusyError, PostgresRefusedError, SchemaError, RightsError) as error:
            self._errors[what].failed(error)
            return None
        self._errors[what].succeeded()
        return result

    def _check_holders(self) -> None:
        """Log once what keeps dead rows from being removed, and once that this is over."""
        holder = self._queue.vacuum_holder(HELD_SECONDS)
        if holder is not None and holder.name != self._held_by:
            logger.warning(
                "Vacuum is held back: dead rows pile up until it ends",
                extra={"by": f"{holder.kind} {holder.name}", "seconds": holder.seconds and int(holder.seconds)},
            )
        elif holder is None and self._held_by is not None:
            logger.info("Vacuum is no longer held back")
        self._held_by = holder.name if holder else None


def _message(what: str, error: BridgeError) -> str:
    condition = f"{error.store} {error.condition}" if isinstance(error, StoreUnavailableError) else "refused"
    return f"Upkeep cannot do this now ({condition}): {what}"

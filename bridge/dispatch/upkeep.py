"""Keeps the tables small, the history and the index of words complete, and names what holds back vacuum.

It also acts on bulk operations: they need no loop of their own, as each batch is short.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar

from bridge.dispatch.bulk import BulkOperations
from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.dispatch.history import HistoryRecorder
from bridge.dispatch.job_index import JobIndexer
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
_INDEX_SECONDS = 10.0  # under heavy traffic, between two batches: a hundredth of one core
_HOLDER_CHECK_SECONDS = 60.0  # often enough for transactions that are reported after HELD_SECONDS (five minutes)
_PRUNE_SECONDS = 3600.0  # often enough for rows of workers and idempotency keys, which are kept for days
_KEYS_MOST = 1000  # in one statement, so that it stays short
_WORKERS_KEPT = timedelta(days=7)  # so that a failure of last week can still be traced to its worker process
_FOLD, _PRUNE, _HISTORY = "add up the counts of jobs", "delete finished jobs", "record the history"
_KEYS = "delete old idempotency keys"
_HOLDERS, _WORKERS = "find what holds back vacuum", "delete workers that ended"
_BULK, _INDEX = "act on the jobs of a bulk operation", "index the words of jobs"
T = TypeVar("T")


class Upkeep:
    """Every bridge does this: each part is a short statement, and harmless when two bridges run it at once.

    A part that Postgres refuses does not stop the others. `retention` None keeps finished jobs for ever.
    """

    def __init__(
        self, queue: JobQueue, hand_over_times: HandOverTimes | None = None, *, retention: timedelta | None
    ) -> None:
        self._queue = queue
        self._retention = None if retention is None else Retention(queue, retention)
        self._bulk = BulkOperations(queue)
        self._history = HistoryRecorder(queue, hand_over_times or HandOverTimes())
        self._index = JobIndexer(queue)
        self._check_holders_at = 0.0
        self._held_by: str | None = None
        self._prune_at = self._index_at = 0.0
        self._errors = {
            what: ErrorReporter("upkeep", partial(_message, what), f"Upkeep goes on: {what}")
            for what in (_FOLD, _PRUNE, _HISTORY, _HOLDERS, _WORKERS, _KEYS, _BULK, _INDEX)
        }

    def step(self) -> float:
        """One round; the seconds to rest until the next. Raises BridgeError when no part could succeed."""
        folded = self._try(_FOLD, lambda: self._queue.fold_job_counts(limit=_FOLD_MOST)) or 0
        self._try(_HISTORY, self._history.step)  # before jobs that it counts are deleted
        more = self._retention is not None and self._try(_PRUNE, self._retention.step)
        if time.monotonic() >= self._check_holders_at:
            self._check_holders_at = time.monotonic() + _HOLDER_CHECK_SECONDS
            self._try(_HOLDERS, self._check_holders)
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + _PRUNE_SECONDS  # first: an error must wait, too
            self._try(_WORKERS, lambda: self._queue.prune_workers(_WORKERS_KEPT))
            self._try(_KEYS, self._prune_idempotency_keys)
        until_batch = self._try(_BULK, self._bulk.step)
        unindexed = self._index_words(is_traffic=folded >= _MANY)
        if more or folded >= _FOLD_MOST // 2 or (unindexed and folded < _MANY):
            return 0.0
        rest = _BUSY_REST_SECONDS if folded >= _MANY else _REST_SECONDS
        return rest if until_batch is None else min(rest, until_batch)

    def _index_words(self, *, is_traffic: bool) -> bool:
        """One batch; True when more is left. Where traffic leaves more than a batch, the jobs need what it takes."""
        if is_traffic and time.monotonic() < self._index_at:
            return False
        is_left = bool(self._try(_INDEX, self._index.step))
        self._index_at = time.monotonic() + _INDEX_SECONDS if is_left else 0.0
        return is_left

    def _try(self, what: str, step: Callable[[], T]) -> T | None:
        try:
            result = step()
        except (PostgresBusyError, PostgresRefusedError, SchemaError, RightsError) as error:
            self._errors[what].failed(error)
            return None
        self._errors[what].succeeded()
        return result

    def _prune_idempotency_keys(self) -> None:
        with suppress(SchemaError):  # schema 11 has none, and is supported: one version older than ours
            while self._queue.prune_idempotency_keys(limit=_KEYS_MOST) == _KEYS_MOST:
                pass

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

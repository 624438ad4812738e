"""Keeps the row of a worker process in Postgres: one row, renewed by one heartbeat for all its jobs."""

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from uuid import UUID, uuid4

from bridge.postgres.attempts import AttemptKey, Attempts, Verdict
from bridge.runtime.backoff import full_jitter
from bridge.runtime.clock import now
from bridge.runtime.loop import Loop
from bridge.runtime.process_name import process_name
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.interrupts import JobCancelledError, LeaseLostError
from bridge.worker.runs import Runs

logger = logging.getLogger(__name__)

# A link that died without an error is noticed by the next heartbeat at the latest, and a cancelled job stops then.
_REST_MOST_SECONDS = 5.0
_LINK_CHECK_SECONDS = 0.2  # the check sends nothing to Postgres, and a cancelled job should stop soon
# How long a worker whose link broke may need to open a new one, estimated from its old link.
_TRIPS = 12  # a new link with TLS and a password takes nine round trips: a margin of three
_OPENINGS = 2  # times the duration of the last opening: when Postgres restarts, all links are opened at once
_GRANTED_SECONDS = 1.0  # to every worker: `mobvibe run` waits that long before a broken link means a dead worker
# How many attempts with a refused report get an extra slot. Limited: if every report is refused, the whole backlog
# would run, and none of it could be reported.
_SET_ASIDE_MOST = 100


class Heartbeat:
    """Registers the process, renews its lease, and interrupts the runs that it must give up.

    It has a link of its own, so that no report can delay it. Between two heartbeats it watches that link, at no cost
    to Postgres: a notification there means that a job was cancelled. When the link breaks, this worker's lock is
    released, and bridges will soon declare the worker lost. Both are a reason for a heartbeat at once.

    A worker that was declared lost stops all its runs and registers again with a new id: reports with the old id change
    nothing.

    While `is_isolating` is true, this worker takes no jobs, and tells bridges so, as when it drains: jobs that they
    handed over would only wait and come back. So it does while an operator has drained it; `on_resumed` is called when
    bridges know that it takes jobs again. `on_worker` gets the id before it is registered, and None when this
    worker has signed off. `after_beat` is called when Postgres has just answered, `after_announcement` when more
    abilities were announced.
    """

    def __init__(
        self,
        attempts: Attempts,
        runs: Runs,
        abilities: WorkerAbilities,
        give_back: Callable[[AttemptKey], None],
        *,
        lease_seconds: float,
        worker_id: str | None = None,
        is_isolating: Callable[[], bool] = lambda: False,
        on_worker: Callable[[UUID | None], None] = lambda _: None,
        on_resumed: Callable[[], None] = lambda: None,
        after_beat: Callable[[], None] = lambda: None,
        after_announcement: Callable[[], None] = lambda: None,
    ) -> None:
        self._attempts = attempts
        self._runs = runs
        self._abilities = abilities
        self._give_back = give_back
        self._worker_id = worker_id
        self._lease = timedelta(seconds=lease_seconds)
        self._rest_seconds = min(lease_seconds / 3, _REST_MOST_SECONDS)
        self._next_beat = 0.0
        self._trip_seconds = 0.0
        self._is_watched = False
        self._shown: tuple[float, float] | None = None  # the link that holds our lock, and its grace
        self._lock = threading.Lock()
        self._worker = uuid4()
        self._draining = False
        self._announced_slots = 0
        self._has_more = threading.Event()  # abilities that were not announced yet
        self._is_isolating = is_isolating
        self._on_worker = on_worker
        self._announced_draining = False
        self._on_resumed = on_resumed
        self.is_told_to_drain = False  # by an operator
        self._after_beat = after_beat
        self._after_announcement = after_announcement
        self._loop = Loop("heartbeat", self._step)

    @property
    def worker(self) -> UUID:
        """The id under which this process is registered now."""
        with self._lock:
            return self._worker

    def open(self) -> None:
        self._register()
        self._show_life()
        self._loop.start()

    def announce(self, abilities: WorkerAbilities) -> None:
        """Tell bridges about actors that were declared after the boot. Returns at once."""
        self._abilities = abilities
        self._has_more.set()
        self._loop.wake()

    def drain(self) -> None:
        """Tell bridges, at once, to hand nothing more over to this worker."""
        self._draining = True
        self._loop.wake()

    def close(self, timeout_seconds: float) -> None:
        """Mark this worker as stopped: other workers may take over at once what it still holds."""
        self._loop.stop()
        self._loop.join(timeout_seconds)
        self._attempts.stop(self._worker)
        self._on_worker(None)
        self._attempts.close()

    def _register(self) -> None:
        self._on_worker(self._worker)
        began = now()
        self._announce()
        self._runs.lease_ends = began + self._lease.total_seconds()

    def _announce(self) -> None:
        self._announced_slots = self._slots()
        self._has_more.clear()  # before reading the abilities: those added meanwhile are announced again
        self._attempts.register(
            self._worker,
            name=process_name(self._worker_id),
            slots=self._announced_slots,
            queues=self._abilities.queues,
            actors=self._abilities.actors,
            version=version("mobvibe-bridge"),
            lease=self._lease,
        )

    def _slots(self) -> int:
        """Attempts with a refused report need no thread, but bridges count them as running: so each adds a slot."""
        return self._abilities.slots + min(self._runs.count_set_aside(), _SET_ASIDE_MOST)

    def _has_news_for_bridges(self) -> bool:
        return self._has_more.is_set() or self._slots() != self._announced_slots

    def _takes_nothing(self) -> bool:
        return self._draining or self.is_told_to_drain or self._is_isolating()

    def _step(self) -> float:
        was_linked = self._attempts.is_linked
        # A heartbeat may be in progress when a drain or an isolation begins, so what the last one announced counts.
        is_due = time.monotonic() >= self._next_beat or self._takes_nothing() != self._announced_draining
        is_due = is_due or self._has_news_for_bridges()
        if not self._attempts.has_news() and not is_due:
            return min(_LINK_CHECK_SECONDS, self._rest_seconds)
        if was_linked and not self._attempts.is_linked:
            self._next_beat = 0.0
            return full_jitter(0)  # spread: the links of all workers may have broken at the same time
        self._beat()
        self._after_beat()
        if self._has_news_for_bridges():
            self._announce()
            self._after_announcement()
        self._next_beat = time.monotonic() + self._rest_seconds
        return min(_LINK_CHECK_SECONDS, self._rest_seconds)

    def _show_life(self) -> None:
        opened_at = self._attempts.link_opened_at
        grace = _rounded(max(_OPENINGS * self._attempts.link_took, _TRIPS * self._trip_seconds))
        if (opened_at, grace) != self._shown:
            self._is_watched = self._attempts.hold_link(self._worker, timedelta(seconds=grace))
            self._shown = opened_at, grace

    def _beat(self) -> None:
        if not self._is_watched:
            self._shown = None  # try again: an earlier session may have released the lock
        self._show_life()
        began, draining = now(), self._takes_nothing()
        verdicts = self._attempts.heartbeat(self._worker, self._lease, self._runs.held_keys(), draining=draining)
        self._trip_seconds = now() - began
        was_draining, self._announced_draining = self._announced_draining, draining and verdicts is not None
        self._show_life()  # again: the call may have been slow, or used a new link because the old one was dead
        if verdicts is None:
            self._start_over()
            return
        self._runs.lease_ends = began + self._lease.total_seconds()
        for verdict, key in verdicts:
            match verdict:
                case Verdict.LOST:
                    self._runs.forget_set_aside([key.exec])
                    if self._runs.interrupt(key.exec, LeaseLostError):
                        logger.warning("Job stopped: this attempt is no longer ours", extra={"jobId": str(key.job_id)})
                case Verdict.CANCELLED:
                    if self._runs.interrupt(key.exec, JobCancelledError):
                        logger.info("Job stopped: it was cancelled", extra={"jobId": str(key.job_id)})
                case Verdict.STRAY if not self._runs.holds(key.exec):  # else its start was only just answered
                    logger.warning(
                        "Job handed back: it was started here and never run", extra={"jobId": str(key.job_id)}
                    )
                    self._give_back(key)
        if was_draining and not draining:
            self._on_resumed()
        self._obey_operator()

    def _obey_operator(self) -> None:
        told = self._attempts.is_told_to_drain(self._worker)
        if told == self.is_told_to_drain:
            return
        self.is_told_to_drain = told
        if told:
            logger.info("This worker takes no more jobs: an operator drains it")
        else:
            logger.info("This worker takes jobs again: an operator has resumed it")

    def _start_over(self) -> None:
        with self._lock:
            self._worker = uuid4()  # first: a start whose answer comes too late to be stopped here sees the new id
        stopped = self._runs.interrupt_all(LeaseLostError)
        self._runs.forget_set_aside([key.exec for key in self._runs.held_keys()])
        self._register()
        if self.is_told_to_drain:
            self._attempts.stay_drained(self._worker)
        self._shown = None
        self._show_life()
        logger.warning(
            "This worker was declared lost and starts over", extra={"stopped": stopped, "worker": str(self._worker)}
        )


def _rounded(seconds: float) -> float:
    """Rounded up to a power of two, so that small changes cause no write; 0 if _GRANTED_SECONDS is enough."""
    return 0.0 if seconds <= _GRANTED_SECONDS else 2.0 ** math.ceil(math.log2(seconds))

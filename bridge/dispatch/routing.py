"""Jobs in a queue where no live worker can run them: moved to a queue where one can, or logged once."""

import logging
import threading
import time

from bridge.postgres.job_queue import JobQueue

logger = logging.getLogger(__name__)

_POLL_SECONDS = 5.0  # how late a job in the wrong queue is noticed, when no worker starts before
_SHARE = 20  # polls that move nothing take less than one part in so many of the time: they read all ready jobs
_BATCH = 5000  # jobs in one statement, which locks their rows; more follow at once


class Routing:
    """Polls every few seconds, when a worker has started, and again at once while there is more to move.

    For one thread, but for `worker_started`.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._worker_started = threading.Event()
        self._next_poll = 0.0
        self._stuck: set[tuple[str, str]] = set()

    def worker_started(self) -> None:
        """It may run jobs that no other worker can. For any thread; wake the loop after it."""
        self._worker_started.set()

    @property
    def has_more(self) -> bool:
        """The last step moved as many jobs as one may."""
        return self._next_poll == 0.0

    def step(self) -> bool:
        """Poll when it is due; True when jobs were moved."""
        if time.monotonic() < self._next_poll and not self._worker_started.is_set():
            return False
        self._worker_started.clear()  # before the query: a worker that starts during it may be missed
        began = time.monotonic()
        self._next_poll = began + _POLL_SECONDS
        moved = self._route()
        if moved >= _BATCH:
            self._next_poll = 0.0
        elif not moved:
            self._next_poll += _SHARE * (time.monotonic() - began)
        return moved > 0

    def _route(self) -> int:
        """Move jobs to a queue where a worker can run them; log once which jobs have none."""
        stuck = self._queue.route_jobs(limit=_BATCH)
        waiting = {(group.actor, group.queue) for group in stuck if group.routed_to is None}
        for group in stuck:
            if group.routed_to is not None:
                logger.info(
                    "Jobs moved to the queue of their actor",
                    extra={"actor": group.actor, "queue": group.queue, "to": group.routed_to, "jobs": group.jobs},
                )
            elif (group.actor, group.queue) not in self._stuck:
                logger.warning(
                    "Jobs wait: no live worker knows their actor. Start one that does: dramatiq actors",
                    extra={"actor": group.actor, "queue": group.queue, "jobs": group.jobs},
                )
        moved = sum(group.jobs for group in stuck if group.routed_to is not None)
        if moved >= _BATCH:
            self._stuck |= waiting  # a full batch ends the search: not all that waits is in its answer
            return moved
        for actor, queue in self._stuck - waiting:
            logger.info("Jobs wait no longer for a worker", extra={"actor": actor, "queue": queue})
        self._stuck = waiting
        return moved

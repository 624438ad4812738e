"""Jobs that wait where nobody can run them: moved to where somebody can, or named once."""

import logging
import threading
import time

from bridge.job_queue import JobQueue

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_BATCH = 5000


class Routing:
    """A look when a worker began, every five seconds besides, and again at once while there is more to move."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._began = threading.Event()
        self._next_look = 0.0
        self._stuck: set[tuple[str, str]] = set()

    def worker_began(self) -> None:
        """Somebody may run what waits in vain. For any thread; wake the loop after it."""
        self._began.set()

    @property
    def has_more(self) -> bool:
        """The last look moved as many jobs as it may."""
        return self._next_look == 0.0

    def step(self) -> bool:
        """One look, when it is due; True when jobs were moved."""
        if time.monotonic() < self._next_look and not self._began.is_set():
            return False
        self._began.clear()  # first: who begins during this look may have been missed by it
        self._next_look = time.monotonic() + _LOOK_SECONDS
        moved = self._route()
        if moved >= _BATCH:
            self._next_look = 0.0
        return moved > 0

    def _route(self) -> int:
        """Move jobs to a queue where somebody can run them; say once who waits in vain."""
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
        for actor, queue in self._stuck - waiting:
            logger.info("Jobs wait no longer for a worker", extra={"actor": actor, "queue": queue})
        self._stuck = waiting
        return sum(group.jobs for group in stuck if group.routed_to is not None)

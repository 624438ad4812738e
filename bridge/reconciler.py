"""What Redis lost is handed over again, by the same fence, without waiting for leases to run out."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from bridge.errors import RedisUnavailableError, WrongKeyError
from bridge.job import Claim
from bridge.job_queue import JobQueue
from bridge.transport.publisher import Publisher
from bridge.transport.road_mark import RoadMark

logger = logging.getLogger(__name__)

_MARK_SECONDS = 0.5
_LOOK_SECONDS = 5.0
_SELDOM_SECONDS = 5.0  # later yet when nothing calls for a look: another bridge may have died before it published
_SEARCH_SECONDS = 2.5
_SUSPECTS_SECONDS = 1.0
_ON_ITS_WAY = timedelta(seconds=0.3)
_OVERDUE = timedelta(seconds=2)
_BATCH = 2000


class Reconciler:
    """Asks Redis for its mark, twice a second, and Postgres when there is a reason to, and else seldom.

    A mark that changed means that everything in Redis may be gone, a lost worker that what it had taken and not
    started is: for a moment all hand-overs that wait are published again, once each. Apart from that, while jobs
    are handed over, those that wait for seconds are published again where Redis has no message by their name.

    Where Redis has just answered, suspects are handed over as well: nothing is claimed for a Redis that is away,
    and nothing but this waits for one that is frozen.
    """

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        mark: RoadMark,
        hand_over_suspects: Callable[[], None] = lambda: None,
        on_closed: Callable[[WrongKeyError], object] = lambda _: None,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._mark = mark
        self._hand_over_suspects = hand_over_suspects
        self._on_closed = on_closed  # a queue's key is wrong
        self._freed = threading.Event()
        self._next_suspects = 0.0
        self._searching = threading.Event()
        self._search_until = float("-inf")
        self._pushed: set[Claim] = set()
        self._looked_at = self._doubted_at = float("-inf")
        self._next_look = time.monotonic() + _LOOK_SECONDS
        self._some_wait = False

    def search(self) -> None:
        """Messages may be lost. For any thread; wake the loop after it."""
        self._searching.set()

    def doubt(self) -> None:
        """A claim got no answer: it may have been made, and nobody published it. For any thread."""
        self._doubted_at = time.monotonic()

    def freed(self) -> None:
        """Jobs were taken back, and may be suspects. For any thread; wake the loop after it."""
        self._freed.set()

    def step(self) -> float:
        """One look at the mark, and at what waits when there is a reason; the seconds to rest."""
        try:
            if self._mark.has_changed():
                logger.warning("Redis lost what it held, handing over again")
                self._searching.set()
            self._reconcile()
            if self._freed.is_set() or time.monotonic() >= self._next_suspects:
                self._freed.clear()
                self._next_suspects = (
                    0.0  # due until it gets through: a step without it would look like an end of trouble
                )
                self._hand_over_suspects()
                self._next_suspects = time.monotonic() + _SUSPECTS_SECONDS
        except RedisUnavailableError as error:
            # Who hands over says so. The mark tells afterwards whether anything was lost.
            logger.debug("Redis cannot be asked for its mark", extra={"reason": str(error)})
        return _MARK_SECONDS

    def _reconcile(self) -> None:
        now = time.monotonic()
        if self._searching.is_set():
            self._searching.clear()
            self._search_until = now + _SEARCH_SECONDS
            self._pushed.clear()
        if now < self._search_until:
            self._push_again()
            return
        some_may_wait = self._some_wait or max(self._publisher.published_at, self._doubted_at) > self._looked_at
        if now >= self._next_look + (0.0 if some_may_wait else _SELDOM_SECONDS):
            self._look()

    def _push_again(self) -> None:
        closed: set[Claim] = set()  # to be tried again with the next step
        while True:
            # The oldest come first, and what was pushed goes on waiting: look behind it.
            waiting = self._queue.waiting_claims(age=_ON_ITS_WAY, limit=_BATCH + len(self._pushed) + len(closed))
            lost = [claim for claim in waiting if claim not in self._pushed and claim not in closed]
            if lost:
                closed |= self._push(lost)
            if len(lost) < _BATCH:
                return

    def _push(self, lost: Sequence[Claim]) -> set[Claim]:
        """Publish each again; those that could not be, for their queues are closed."""
        closed: set[Claim] = set()
        try:
            self._publisher.push_again(lost)
        except WrongKeyError as error:
            self._on_closed(error)
            closed = {claim for claim in lost if error.concerns(claim.queue)}
        pushed = [claim for claim in lost if claim not in closed]
        self._pushed.update(pushed)
        _log(pushed)
        return closed

    def _look(self) -> None:
        began = time.monotonic()
        waiting = self._queue.waiting_claims(age=_OVERDUE, limit=_BATCH)
        now = time.monotonic()
        self._some_wait = bool(waiting)
        self._looked_at = began - _OVERDUE.total_seconds()
        self._next_look = now + max(_LOOK_SECONDS, 100 * (now - began))
        try:
            if waiting and self._publisher.publish(waiting):
                _log(waiting)
        except WrongKeyError as error:
            self._on_closed(error)  # the others were published, where they were not there


def _log(claims: Sequence[Claim]) -> None:
    if claims:
        logger.info("Jobs handed over again", extra={"jobs": len(claims)})

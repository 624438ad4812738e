"""Hands over again what Redis lost, with the same fence and without waiting for leases to expire."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.errors import RedisUnavailableError, WrongKeyError
from bridge.job import Claim
from bridge.postgres.job_queue import JobQueue
from bridge.transport.epoch import RedisEpoch
from bridge.transport.publisher import Publisher

logger = logging.getLogger(__name__)

_EPOCH_SECONDS = 0.5  # one round trip to Redis each, and how late a loss of its data is noticed
_CHECK_SECONDS = 5.0  # between searches for single lost messages: these are rare, and each search reads all that waits
_CHECK_SHARE = 100  # a slow search is made less often, so that it takes one part in so many of the time
# Extra delay when nothing was published since the last search. It is still made: another bridge may have died between
# its claim and its publish.
_IDLE_SECONDS = 5.0
_SEARCH_SECONDS = 2.5  # after a loss: until claims that were being published meanwhile are older than _ON_ITS_WAY too
_SUSPECTS_SECONDS = 1.0  # how late a suspect is noticed that becomes due
_ON_ITS_WAY = timedelta(seconds=0.3)  # younger hand-overs are probably just being taken by their worker
_OVERDUE = timedelta(seconds=2)  # many times what a message waits for its worker: at most a fifth of a second's work
_BATCH = 2000  # claims in one answer, so that it stays small where a whole backlog waits; the others come with the next


class Reconciler:
    """Reads the epoch in Redis twice a second, and asks Postgres for waiting hand-overs when there is a reason to.

    A changed epoch means that everything in Redis may be gone; a lost worker, that the messages it had taken and not
    started are gone. After either, all waiting hand-overs are published again for some seconds, once each. Otherwise,
    while jobs are handed over, those that wait for seconds are published again unless Redis still has their message.

    It also hands over suspects, after Redis has answered: so nothing is claimed for a Redis that is away, and of the
    bridge's loops only this one waits for a Redis that is frozen.
    """

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        epoch: RedisEpoch,
        hand_over_suspects: Callable[[], None] = lambda: None,
        on_closed: Callable[[WrongKeyError], object] = lambda _: None,
        hand_over_times: HandOverTimes | None = None,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._epoch = epoch
        self._hand_over_suspects = hand_over_suspects
        self._on_closed = on_closed  # another application wrote a key of the queue
        self._times = hand_over_times or HandOverTimes()
        self._reclaimed = threading.Event()
        self._next_suspects = 0.0
        self._searching = threading.Event()
        self._search_until = float("-inf")
        self._pushed: set[Claim] = set()
        self._checked_at = self._unanswered_at = float("-inf")
        self._next_check = time.monotonic() + _CHECK_SECONDS
        self._some_wait = False

    def search(self) -> None:
        """Request a search: messages may be lost. For any thread; wake the loop after it."""
        self._searching.set()

    def claim_unanswered(self) -> None:
        """A claim got no answer: it may have been made without being published. For any thread."""
        self._unanswered_at = time.monotonic()

    def reclaimed(self) -> None:
        """Jobs were taken back, and may be suspects. For any thread; wake the loop after it."""
        self._reclaimed.set()

    def step(self) -> float:
        """Read the epoch, and search for lost hand-overs when it is time to; the seconds to rest."""
        try:
            if self._epoch.has_changed():
                logger.warning("Redis lost what it held, handing over again")
                self._searching.set()
            self._reconcile()
            if self._reclaimed.is_set() or time.monotonic() >= self._next_suspects:
                self._reclaimed.clear()
                # Due until it succeeds: a step without it would count as a success, and log the end of an error.
                self._next_suspects = 0.0
                self._hand_over_suspects()
                self._next_suspects = time.monotonic() + _SUSPECTS_SECONDS
        except RedisUnavailableError as error:
            # The dispatcher reports it. The epoch tells afterwards whether anything was lost.
            logger.debug("Redis cannot be asked for its epoch", extra={"reason": str(error)})
        return _EPOCH_SECONDS

    def _reconcile(self) -> None:
        now = time.monotonic()
        if self._searching.is_set():
            self._searching.clear()
            self._search_until = now + _SEARCH_SECONDS
            self._pushed.clear()
        if now < self._search_until:
            self._push_again()
            return
        some_may_wait = self._some_wait or max(self._publisher.published_at, self._unanswered_at) > self._checked_at
        if now >= self._next_check + (0.0 if some_may_wait else _IDLE_SECONDS):
            self._check()

    def _push_again(self) -> None:
        closed: set[Claim] = set()  # tried again with the next step
        while True:
            asked_at = time.monotonic()
            # The oldest come first, and those published again still wait: read that many more.
            waiting = self._queue.waiting_claims(age=_ON_ITS_WAY, limit=_BATCH + len(self._pushed) + len(closed))
            lost = [claim for claim in waiting if claim not in self._pushed and claim not in closed]
            if lost:
                closed |= self._push(lost, asked_at)
            if len(lost) < _BATCH:
                return

    def _push(self, lost: Sequence[Claim], asked_at: float) -> set[Claim]:
        """Publish each again. Returns those that could not be published, because their queues are closed."""
        closed: set[Claim] = set()
        try:
            self._publisher.push_again(lost)
        except WrongKeyError as error:
            self._on_closed(error)
            closed = {claim for claim in lost if error.concerns(claim.queue)}
        pushed = [claim for claim in lost if claim not in closed]
        self._pushed.update(pushed)
        for queue, jobs in Counter(claim.queue for claim in pushed).items():
            self._handed_over(queue, jobs, asked_at)
        return closed

    def _check(self) -> None:
        began = time.monotonic()
        waiting = self._queue.waiting_claims(age=_OVERDUE, limit=_BATCH)
        now = time.monotonic()
        self._some_wait = bool(waiting)
        self._checked_at = began - _OVERDUE.total_seconds()
        self._next_check = now + max(_CHECK_SECONDS, _CHECK_SHARE * (now - began))
        for queue in dict.fromkeys(claim.queue for claim in waiting):
            self._publish_missing(queue, [claim for claim in waiting if claim.queue == queue], began)

    def _publish_missing(self, queue: str, claims: Sequence[Claim], asked_at: float) -> None:
        try:
            missing = self._publisher.publish(claims)
        except WrongKeyError as error:
            self._on_closed(error)
        else:
            self._handed_over(queue, missing, asked_at)

    def _handed_over(self, queue: str, jobs: int, asked_at: float) -> None:
        if jobs:
            self._times.count(queue, jobs, asked_at)
            logger.info("Jobs handed over again", extra={"queue": queue, "jobs": jobs})

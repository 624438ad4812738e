"""Pending rows → messages: claims what workers can start soon, and publishes it to them."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from bridge.dispatch.capacity import Capacity
from bridge.dispatch.claim_window import ClaimWindow
from bridge.dispatch.closed_queues import ClosedQueues
from bridge.dispatch.refusals import Claims
from bridge.dispatch.throughput import Throughput
from bridge.errors import PostgresUnavailableError, RedisUnavailableError, WrongKeyError
from bridge.job import Claim
from bridge.postgres.job_queue import JobQueue
from bridge.runtime.kill_points import kill_point
from bridge.transport import freed
from bridge.transport.freed import FreedSlots, HandedOver
from bridge.transport.publisher import Publisher

logger = logging.getLogger(__name__)

BATCH = 500  # jobs in one claim: many enough for few round trips, few enough for short locks
# With _DEEP jobs ahead (see throughput.py: a fifth of a second's work) workers do not run dry during a pause of a tenth
# of that time, and the claim after it is larger: fewer claims cost less.
_DEEP, _PAUSE_SECONDS = 100, 0.02
_DUE_CHECK_SECONDS = 0.25  # between queries for the next due job: bounds their cost, and how late a new one is noticed
_DUE_REST_SECONDS = 0.01  # at least: a job that is due but cannot be claimed must not make the loop spin
_RECOUNT_POLL_SECONDS = 1.0  # as often as a count is due: a message about a freed slot may have been lost
_BUSY_REST_SECONDS = 1.0  # while jobs move, a lost notification costs no more, however long POLL_INTERVAL_MS is


class Dispatcher:
    """One step claims a batch and publishes it. New jobs and freed slots wake its loop; it also polls."""

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        on_unanswered: Callable[[], None] = lambda: None,
        throughput: Throughput | None = None,
        on_worker_started: Callable[[], None] = lambda: None,
        *,
        name: str,
        lease_seconds: float,
        poll_seconds: float,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._on_unanswered = on_unanswered  # the connection broke before a claim answered: it may have been made
        self._name = name
        self._claims = Claims(queue, name=name, lease=timedelta(seconds=lease_seconds), limit=BATCH)
        self._poll_seconds = poll_seconds
        self._throughput = throughput or Throughput()
        self._capacity = Capacity(name, on_worker_started)
        self._window = ClaimWindow()
        self._closed = ClosedQueues(publisher.check_queue)
        self._due_checked_at = 0.0
        self._next_claim = 0.0
        self._redis_is_ready = True

    def on_message(self, text: str | None) -> bool:
        """A message of the channel of freed slots; True when it frees some. Called from a thread of its own."""
        message = freed.parse(text)
        if isinstance(message, FreedSlots):
            self._throughput.on_freed(message, time.monotonic())
            self._capacity.on_freed(message)
            return True
        if message is not None:
            self._capacity.on_handed_over(message)
        return False

    def request_count(self) -> None:
        """Slots or jobs changed in a way that no message reports."""
        self._capacity.request_count()

    def close_queues(self, error: WrongKeyError) -> None:
        """Log that nothing can be published to these queues for now, and claim nothing for them. For any thread."""
        self._closed.close(error)

    def step(self) -> float:
        """Hand over one batch; the seconds to rest until the next step."""
        if not self._redis_is_ready:
            self._publisher.check()  # before claiming: what cannot be handed over stays pending
            self._redis_is_ready = True
        now = time.monotonic()
        ahead = self._throughput.ahead(now, self._capacity.slots())
        if (pause := self._next_claim - now) > 0 and sum(ahead.values()) >= _DEEP:
            return pause
        if self._capacity.count_is_due(now):
            self._count()
        available = self._closed.open_among(self._capacity.available(ahead))
        claims = self._claim(available) if available else []
        if claims:
            kill_point("claim.committed")
            self._hand_over(claims)
            if len(claims) == BATCH:
                return 0.0  # a full batch hints at more
        if available and self._claims.found_refused:
            return 0.0  # claimable jobs may come after them
        if not available:
            return min(self._rest(busy=True), _RECOUNT_POLL_SECONDS)
        self._next_claim = time.monotonic() + _PAUSE_SECONDS
        return self._rest(busy=bool(claims))

    def _claim(self, available: Mapping[str, int]) -> list[Claim]:
        began = time.monotonic()
        full = self._window.full_scan_is_due(began)
        latest = self._queue.latest_seq() if full and self._window.is_slow else None
        spans = self._window.spans(available, full=full)
        try:
            claims = self._claims.take(spans)
        except PostgresUnavailableError:
            self._on_unanswered()
            raise
        if full:
            now = time.monotonic()
            emptied = latest if len(claims) < BATCH else None
            self._window.scanned_all(claims, available, took=now - began, latest=emptied, now=now)
        else:
            self._window.scanned(claims)
        return claims

    def _count(self) -> None:
        began = time.monotonic()
        queues = self._queue.queue_room()
        now = time.monotonic()
        self._capacity.counted(queues, now=now, took=now - began)

    def _hand_over(self, claims: list[Claim]) -> None:
        handed, slots = self._capacity.claimed(claims), self._capacity.slots()
        jobs_per_message = {queue: self._throughput.jobs_per_message(queue, slots.get(queue, 0)) for queue in handed}
        try:
            published = self._publisher.publish(claims, jobs_per_message, HandedOver(handed, self._name))
        except WrongKeyError as error:
            self._closed.close(error)
            self._capacity.request_count()
            for queue in {claim.queue for claim in claims if error.concerns(claim.queue)}:
                reason = f"could not be handed over: {error.reason_of(queue)}"
                self._put_back([claim for claim in claims if claim.queue == queue], reason)
            return
        except RedisUnavailableError as error:
            self._redis_is_ready = False
            self._capacity.request_count()
            self._put_back(claims, f"could not be handed over: {error}")
            raise
        kill_point("publish.sent")
        logger.debug("Jobs handed over", extra={"jobs": len(claims), "new": published})

    def _put_back(self, claims: list[Claim], reason: str) -> None:
        # Some may have been published before the error. Their attempts end here all the same: the start call
        # refuses the fence of those messages.
        try:
            self._queue.release_claims(claims, reason)
        except PostgresUnavailableError as error:
            logger.warning(
                "Claimed jobs wait for their lease to run out", extra={"jobs": len(claims), "reason": str(error)}
            )

    def _rest(self, *, busy: bool) -> float:
        # A short scan may have missed jobs.
        busy = busy or self._window.is_slow
        rest = min(self._poll_seconds, _BUSY_REST_SECONDS) if busy else self._poll_seconds
        rest = min(rest, self._closed.seconds_to_next_check())
        now = time.monotonic()
        if now - self._due_checked_at < _DUE_CHECK_SECONDS:
            return min(rest, _DUE_CHECK_SECONDS)
        self._due_checked_at = now
        next_due = self._queue.seconds_to_next_due()
        least = _DUE_CHECK_SECONDS if self._claims.some_refused else _DUE_REST_SECONDS  # what is refused stays due
        return rest if next_due is None else min(rest, max(next_due, least))

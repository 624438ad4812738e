"""Pending rows → messages: claims what workers can start soon, and hands it over."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from bridge.closed_queues import ClosedQueues
from bridge.errors import PostgresUnavailableError, RedisUnavailableError, WrongKeyError
from bridge.frontier import Frontier
from bridge.job import Claim
from bridge.job_queue import JobQueue
from bridge.kill_points import kill_point
from bridge.pace import Pace
from bridge.refusals import Claims
from bridge.room import Room
from bridge.transport.publisher import Publisher

logger = logging.getLogger(__name__)

BATCH = 500
_DEEP = 100
_PAUSE_SECONDS = 0.02
_DUE_LOOK_SECONDS = 0.25
_COUNT_LOOK_SECONDS = 1.0
_BUSY_REST_SECONDS = 1.0


class Dispatcher:
    """One step claims a batch and publishes it. Woken by new jobs and by workers with room; polls besides."""

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        on_doubt: Callable[[], None] = lambda: None,
        pace: Pace | None = None,
        on_worker: Callable[[], None] = lambda: None,
        *,
        name: str,
        lease_seconds: float,
        poll_seconds: float,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._on_doubt = on_doubt  # a claim got no answer
        self._name = name
        self._claims = Claims(queue, name=name, lease=timedelta(seconds=lease_seconds), limit=BATCH)
        self._poll_seconds = poll_seconds
        self._pace = pace or Pace()
        self._room = Room(name, on_worker)
        self._frontier = Frontier()
        self._closed = ClosedQueues(publisher.check_queue)
        self._due_looked_at = 0.0
        self._next_claim = 0.0
        self._road_is_open = True

    def heard(self, message: str | None) -> bool:
        """A worker's word that it has room again, or a bridge's that it took some; True when there is more room."""
        self._pace.heard(message, time.monotonic())
        return self._room.heard(message)

    def count_anew(self) -> None:
        """Something changed that nobody could hear."""
        self._room.count_anew()

    def close_queues(self, error: WrongKeyError) -> None:
        """Nothing can be put on these for now: say so, and claim nothing for them. For any thread."""
        self._closed.close(error)

    def step(self) -> float:
        """Hand over one batch; the seconds to rest."""
        if not self._road_is_open:
            self._publisher.check()  # before claiming: what cannot be handed over stays where it is
            self._road_is_open = True
        now = time.monotonic()
        ahead = self._pace.ahead(now, self._room.slots())
        if (pause := self._next_claim - now) > 0 and sum(ahead.values()) >= _DEEP:
            return pause
        if self._room.count_is_due(now):
            self._count()
        room = self._closed.open_among(self._room.room(ahead))
        claims = self._claim(room) if room else []
        if claims:
            kill_point("claim.committed")
            self._hand_over(claims)
            if len(claims) == BATCH:
                return 0.0  # a full batch hints at more
        if room and self._claims.found_refused:
            return 0.0  # others may lie behind them
        if not room:
            return min(self._rest(busy=True), _COUNT_LOOK_SECONDS)  # what is free may have gone unheard
        # While much is handed over ahead, workers do not wait for us: fewer and larger claims cost less.
        self._next_claim = time.monotonic() + _PAUSE_SECONDS
        return self._rest(busy=bool(claims))

    def _claim(self, room: Mapping[str, int]) -> list[Claim]:
        began = time.monotonic()
        full = self._frontier.full_look_is_due(began)
        latest = self._queue.latest_seq() if full and self._frontier.is_slow else None
        spans = self._frontier.spans(room, full=full)
        try:
            claims = self._claims.take(spans)
        except PostgresUnavailableError:
            self._on_doubt()
            raise
        if full:
            now = time.monotonic()
            emptied = latest if len(claims) < BATCH else None
            self._frontier.looked_everywhere(claims, room, took=now - began, latest=emptied, now=now)
        else:
            self._frontier.looked(claims)
        return claims

    def _count(self) -> None:
        began = time.monotonic()
        queues = self._queue.queue_room()
        now = time.monotonic()
        self._room.counted(queues, now=now, took=now - began)

    def _hand_over(self, claims: list[Claim]) -> None:
        handed, slots = self._room.claimed(claims), self._room.slots()
        together = {queue: self._pace.together(queue, slots.get(queue, 0)) for queue in handed}
        try:
            published = self._publisher.publish(claims, together, handed=handed, by=self._name)
        except WrongKeyError as error:
            self._closed.close(error)
            self._room.count_anew()
            for queue in {claim.queue for claim in claims if error.concerns(claim.queue)}:
                reason = f"could not be handed over: {error.reason_of(queue)}"
                self._put_back([claim for claim in claims if claim.queue == queue], reason)
            return
        except RedisUnavailableError as error:
            self._road_is_open = False
            self._room.count_anew()
            self._put_back(claims, f"could not be handed over: {error}")
            raise
        kill_point("publish.sent")
        logger.debug("Jobs handed over", extra={"jobs": len(claims), "new": published})

    def _put_back(self, claims: list[Claim], reason: str) -> None:
        # Some may have been published before the error. Their attempts end here all the same, and the
        # fence turns those messages away.
        try:
            self._queue.release_claims(claims, reason)
        except PostgresUnavailableError as error:
            logger.warning(
                "Claimed jobs wait for their lease to run out", extra={"jobs": len(claims), "reason": str(error)}
            )

    def _rest(self, *, busy: bool) -> float:
        # A look that was not a full one may have missed something.
        busy = busy or self._frontier.is_slow
        rest = min(self._poll_seconds, _BUSY_REST_SECONDS) if busy else self._poll_seconds
        rest = min(rest, self._closed.seconds_to_next_look())
        now = time.monotonic()
        if now - self._due_looked_at < _DUE_LOOK_SECONDS:
            return min(rest, _DUE_LOOK_SECONDS)
        self._due_looked_at = now
        next_due = self._queue.seconds_to_next_due()
        least = _DUE_LOOK_SECONDS if self._claims.some_refused else 0.01  # what is refused stays due
        return rest if next_due is None else min(rest, max(next_due, least))

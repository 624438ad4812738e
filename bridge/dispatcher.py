"""Pending rows → messages: claims what workers can start soon, and hands it over."""

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from bridge.errors import PostgresUnavailableError, RedisUnavailableError
from bridge.job import Claim
from bridge.job_queue import JobQueue
from bridge.transport.publisher import Publisher

logger = logging.getLogger(__name__)

BATCH = 500
_AHEAD_SECONDS = 0.1
_AHEAD_MOST = 1000
_DUE_LOOK_SECONDS = 0.25
_BUSY_REST_SECONDS = 1.0


class Pace:
    """How many jobs to hand over beyond the free slots: what the workers will finish within a tenth of a second.

    Measured, from what workers say they have settled. Short jobs get a stock that hides the way through
    Redis; long ones get none, so that the next job is chosen when a slot is free and not before.
    """

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}
        self._since: dict[str, float] = {}

    def settled(self, counts: Mapping[str, int], now: float) -> None:
        """Workers have settled so many jobs, by queue."""
        for queue, count in counts.items():
            elapsed = now - self._since.get(queue, now - 1.0)
            self._since[queue] = now
            # An average over the last quarter second or so: each report counts for as long as it took.
            weight = min(1.0, elapsed / 0.25)
            rate = count / max(elapsed, 0.001)
            self._rates[queue] = self._rates.get(queue, 0.0) * (1 - weight) + rate * weight

    def ahead(self, now: float) -> dict[str, int]:
        """Queue → jobs to hand over beyond the free slots; queues that went quiet are forgotten."""
        ahead = {}
        for queue, rate in list(self._rates.items()):
            if now - self._since[queue] > 1.0:
                del self._rates[queue], self._since[queue]
            elif (jobs := min(_AHEAD_MOST, int(rate * _AHEAD_SECONDS))) > 0:
                ahead[queue] = jobs
        return ahead


class Dispatcher:
    """One step claims a batch and publishes it. Woken by new jobs and by workers with room; polls besides."""

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        *,
        name: str,
        lease_seconds: float,
        poll_seconds: float,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._name = name
        self._lease = timedelta(seconds=lease_seconds)
        self._poll_seconds = poll_seconds
        self._pace = Pace()
        self._due_looked_at = 0.0
        self._road_is_open = True

    def heard(self, message: str | None) -> None:
        """A worker's word that it has room again: how many jobs it settled, by queue."""
        try:
            counts = json.loads(message or "{}")
            self._pace.settled(Counter({str(queue): int(count) for queue, count in counts.items()}), time.monotonic())
        except (ValueError, TypeError, AttributeError):
            logger.debug("A wake-up was not understood")

    def step(self) -> float:
        """Hand over one batch; the seconds to rest."""
        if not self._road_is_open:
            self._publisher.check()  # before claiming: what cannot be handed over stays where it is
            self._road_is_open = True
        claims = self._queue.claim_jobs(
            self._name, limit=BATCH, lease=self._lease, ahead=self._pace.ahead(time.monotonic())
        )
        if claims:
            self._hand_over(claims)
            if len(claims) == BATCH:
                return 0.0  # a full batch hints at more
        return self._rest(busy=bool(claims))

    def _hand_over(self, claims: list[Claim]) -> None:
        try:
            published = self._publisher.publish(claims)
        except RedisUnavailableError as error:
            self._road_is_open = False
            self._put_back(claims, f"could not be handed over: {error}")
            raise
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
        rest = min(self._poll_seconds, _BUSY_REST_SECONDS) if busy else self._poll_seconds
        now = time.monotonic()
        if now - self._due_looked_at < _DUE_LOOK_SECONDS:
            return min(rest, _DUE_LOOK_SECONDS)
        self._due_looked_at = now
        next_due = self._queue.seconds_to_next_due()
        return rest if next_due is None else min(rest, max(next_due, 0.01))

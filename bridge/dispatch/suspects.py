"""Jobs whose worker was lost while it ran them: handed over in batches, to run isolated, one after the other."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.errors import RedisUnavailableError, WrongKeyError
from bridge.postgres.job_queue import JobQueue
from bridge.transport.publisher import Publisher

logger = logging.getLogger(__name__)

_RETRY_DELAY = timedelta(seconds=1)  # as often as suspects are looked for: most outages of Redis are that short


class Suspects:
    """Claims and publishes a batch when Postgres allows one. `batch_size` gives the most jobs in it."""

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        batch_size: Callable[[], int] = lambda: 1,
        on_closed: Callable[[WrongKeyError], object] = lambda _: None,
        hand_over_times: HandOverTimes | None = None,
        *,
        name: str,
        lease_seconds: float,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._batch_size = batch_size
        self._on_closed = on_closed  # another application wrote a key of the queue
        self._times = hand_over_times or HandOverTimes()
        self._name = name
        self._lease = timedelta(seconds=lease_seconds)

    def hand_over(self) -> None:
        """Claim and publish suspects of one queue that may run now.

        Those that Redis does not take are released, with their fences spent.
        """
        asked_at = time.monotonic()
        claims = self._queue.claim_suspects(self._name, lease=self._lease, limit=self._batch_size())
        if not claims:
            return
        # One process takes what stands together: the whole batch goes by its most urgent job.
        claims = [replace(claim, priority=claims[0].priority) for claim in claims]
        try:
            self._publisher.publish(claims)
        except RedisUnavailableError as error:
            if isinstance(error, WrongKeyError):
                self._on_closed(error)
            else:
                logger.debug("Suspects wait for Redis", extra={"reason": str(error)})
            self._queue.release_claims(claims, f"could not be handed over: {error}", delay=_RETRY_DELAY)
            return
        self._times.count(claims[0].queue, len(claims), asked_at)
        for claim in claims:
            logger.info("Job runs alone: a worker was lost that ran it", extra={"jobId": str(claim.job_id)})

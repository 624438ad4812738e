"""Jobs whose worker was lost while it ran them: handed over in lines, to run alone one after the other."""

import logging
import time
from datetime import timedelta

from bridge.errors import RedisUnavailableError
from bridge.job_queue import JobQueue
from bridge.transport.publisher import Publisher

logger = logging.getLogger(__name__)

_LINE_MOST = 64
_SHORT_SECONDS = 1.5  # a line that was through by then was short


class Suspects:
    """Called again and again, hands over a line whenever there may be another one.

    A worker process that died may have had a long job or hundreds of short ones. The first line is one job; each
    one that is over soon allows the next to be twice as long, each one that is not half as long.
    """

    def __init__(self, queue: JobQueue, publisher: Publisher, *, name: str, lease_seconds: float) -> None:
        self._queue = queue
        self._publisher = publisher
        self._name = name
        self._lease = timedelta(seconds=lease_seconds)
        self._line = 1
        self._handed_over_at = float("-inf")

    def hand_over(self) -> None:
        """Claim and publish those that may run now."""
        waited = time.monotonic() - self._handed_over_at
        line = min(self._line * 2, _LINE_MOST) if waited < _SHORT_SECONDS else max(self._line // 2, 1)
        claims = self._queue.claim_suspects(self._name, lease=self._lease, line=line)
        if not claims:
            return
        self._line, self._handed_over_at = line, time.monotonic()
        try:
            self._publisher.publish(claims)
        except RedisUnavailableError as error:
            logger.debug("Suspects wait for Redis", extra={"reason": str(error)})
            self._queue.release_claims(claims, f"could not be handed over: {error}", delay=timedelta(seconds=1))
            return
        for claim in claims:
            logger.info("Job runs alone: a worker was lost that ran it", extra={"jobId": str(claim.job_id)})

"""Jobs whose rows Postgres refuses to change: logged once and retried less and less often, while all others run."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from bridge.errors import BridgeError
from bridge.job import Claim
from bridge.postgres.errors import may_be_of_a_row
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.queue_rows import Refusal, Span
from bridge.postgres.refused_rows import RetryTimes

logger = logging.getLogger(__name__)

_NAMED_MOST = 10  # ids in one log line: enough to find the cause by, and a line that can be read


class Refusals:
    """The refused jobs that one bridge knows of, in memory. For one thread."""

    def __init__(self) -> None:
        self._times = RetryTimes()

    def __bool__(self) -> bool:
        return bool(self._times)

    @property
    def is_full(self) -> bool:
        return self._times.is_full

    def skip(self, now: float) -> list[UUID]:
        """Refused jobs that are not due for another try: a claim must leave them out."""
        return self._times.skip(now)

    def claimed(self, claims: Iterable[Claim], refused: Sequence[Refusal], now: float) -> None:
        """Note what a claim returned. Once a job is no longer refused, the others are tried again at once."""
        if mended := self._times.succeeded((claim.job_id for claim in claims), now):
            logger.info("Job runs that Postgres had refused to change", extra=_named(mended))
        fresh: defaultdict[tuple[str, str], list[UUID]] = defaultdict(list)
        for one in refused:
            if self._times.refused(one.job_id, now):
                fresh[one.actor, one.reason].append(one.job_id)
        for (actor, reason), job_ids in fresh.items():
            logger.error(
                "Job cannot be handed over: Postgres refuses to change its row. "
                "It is tried again, each time after a longer wait, and the others run",
                extra={**_named(job_ids), "actor": actor, "reason": reason},
            )


class Claims:
    """Claims jobs: all in one statement, or one by one while some are refused."""

    def __init__(self, queue: JobQueue, *, name: str, lease: timedelta, limit: int) -> None:
        self._queue = queue
        self._name = name
        self._lease = lease
        self._limit = limit
        self._refusals = Refusals()
        self.found_refused = False  # by the last claim, maybe nothing but refused jobs: others may come after them

    @property
    def some_refused(self) -> bool:
        return bool(self._refusals)

    def take(self, spans: Sequence[Span]) -> list[Claim]:
        """The most urgent jobs within `spans`."""
        self.found_refused = False
        if not self._refusals:
            try:
                return self._queue.claim_jobs(self._name, limit=self._limit, lease=self._lease, spans=spans)
            except BridgeError as error:
                if not may_be_of_a_row(error):
                    raise
        claims, refused = self._queue.claim_jobs_apart(
            self._name,
            limit=self._limit,
            lease=self._lease,
            spans=spans,
            skip=self._refusals.skip(time.monotonic()),
        )
        self._refusals.claimed(claims, refused, time.monotonic())
        self.found_refused = bool(refused) and not self._refusals.is_full  # else they would be found again at once
        return claims


def _named(job_ids: Sequence[UUID]) -> dict[str, object]:
    if len(job_ids) == 1:
        return {"jobId": str(job_ids[0])}
    return {"jobIds": [str(one) for one in job_ids[:_NAMED_MOST]], "jobs": len(job_ids)}

"""Claims → messages. What is less urgent is kept back until the more urgent of its queue were started.

Two worker processes take messages at the same moment, and nothing says which of them begins first. So of claims of
different priorities the most urgent are published at once, and the next ones when these were started.
"""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Sequence

from bridge.dispatch.capacity import Capacity
from bridge.dispatch.closed_queues import ClosedQueues
from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.dispatch.publish_order import PublishOrder
from bridge.dispatch.throughput import Throughput
from bridge.errors import PostgresUnavailableError, RedisUnavailableError, WrongKeyError
from bridge.job import Claim
from bridge.postgres.job_queue import JobQueue
from bridge.runtime.kill_points import kill_point
from bridge.transport.freed import HandedOver
from bridge.transport.publisher import Publisher
from bridge.transport.wake_message import WakeMessage

logger = logging.getLogger(__name__)

_LOOK_SECONDS, _LOOK_SECONDS_A_JOB = 0.002, 0.0001  # between two looks, each of which reads some rows by their key


class HandOver:
    """For the dispatcher's thread."""

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        capacity: Capacity,
        throughput: Throughput,
        closed: ClosedQueues,
        times: HandOverTimes,
        *,
        name: str,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._capacity = capacity
        self._throughput = throughput
        self._closed = closed
        self._times = times
        self._name = name
        self._orders: defaultdict[str, PublishOrder] = defaultdict(PublishOrder)
        self._look_seconds = _LOOK_SECONDS
        self.lowest: int | None = None  # priority that was published lately

    def begin(self, claims: Sequence[Claim], asked_at: float) -> None:
        """Publish what may be, and keep the rest. `claims` are in order of priority, asked for at `asked_at`."""
        self._capacity.claimed(claims)
        queues: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in claims:
            queues[claim.queue].append(claim)
        now = time.monotonic()
        for queue, ours in queues.items():
            self._orders[queue].keep(ours, now)
            self._orders[queue].claim_times.claimed(len(ours), asked_at)
        self.go_on()

    def go_on(self) -> None:
        """Publish what need not be kept any longer. Raises RedisUnavailableError; nothing is kept then."""
        now, blocking = time.monotonic(), 0
        for queue, order in [(queue, one) for queue, one in self._orders.items() if one.kept]:
            if before := order.waits_for(now):
                unstarted = self._queue.unstarted(before)
                order.unstarted(unstarted)
                blocking += len(unstarted)
                if unstarted:
                    continue
            claims = order.take(now)
            batches = order.claim_times.take(len(claims))
            if self._publish(claims, self._urgent(claims[0], order.overtakers)):
                for jobs, asked_at in batches:
                    self._times.count(queue, jobs, asked_at)
        self._look_seconds = _LOOK_SECONDS + _LOOK_SECONDS_A_JOB * blocking

    def finish(self) -> None:
        """Publish all that is kept, at the end of the bridge."""
        if claims := self._forget_kept():
            self._publish(claims)

    def floors(self) -> dict[str, int]:
        """Queue → the least priority to claim there: of what is kept, more would only be kept as well."""
        return {queue: order.kept[0].priority + 1 for queue, order in self._orders.items() if order.kept}

    def seconds_to_next_look(self) -> float:
        return self._look_seconds if any(order.kept for order in self._orders.values()) else math.inf

    def _urgent(self, first: Claim, jobs: int) -> WakeMessage | None:
        """What workers hold up others for; not for more jobs than there are threads, which then take all of them."""
        slots = self._capacity.slots().get(first.queue, 0)
        return WakeMessage(first.queue, first.priority, jobs) if 0 < jobs <= slots else None

    def _publish(self, claims: list[Claim], urgent: WakeMessage | None = None) -> bool:
        """Whether Redis has all of them now."""
        handed: defaultdict[str, int] = defaultdict(int)
        for claim in claims:
            handed[claim.queue] += 1
        slots = self._capacity.slots()
        jobs_per_message = {queue: self._throughput.jobs_per_message(queue, slots.get(queue, 0)) for queue in handed}
        try:
            handed_over = HandedOver(handed, self._name)
            published = self._publisher.publish(claims, jobs_per_message, handed_over, urgent)
        except WrongKeyError as error:
            self._closed.close(error)
            self._capacity.request_count()
            for queue in {claim.queue for claim in claims if error.concerns(claim.queue)}:
                reason = f"could not be handed over: {error.reason_of(queue)}"
                self._put_back([claim for claim in claims if claim.queue == queue], reason)
            return False
        except RedisUnavailableError as error:
            self._capacity.request_count()
            self._put_back([*claims, *self._forget_kept()], f"could not be handed over: {error}")
            raise
        self.lowest = min((order.lowest for order in self._orders.values()), default=None)
        kill_point("publish.sent")
        logger.debug("Jobs handed over", extra={"jobs": len(claims), "new": published})
        return True

    def _forget_kept(self) -> list[Claim]:
        kept = [claim for order in self._orders.values() for claim in order.kept]
        self._orders.clear()
        return kept

    def _put_back(self, claims: list[Claim], reason: str) -> None:
        # Some may have been published before the error. Their attempts end here all the same: the start call
        # refuses the fence of those messages.
        try:
            self._queue.release_claims(claims, reason)
        except PostgresUnavailableError as error:
            logger.warning(
                "Claimed jobs wait for their lease to run out", extra={"jobs": len(claims), "reason": str(error)}
            )

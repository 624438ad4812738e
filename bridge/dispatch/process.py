"""The bridge process put together: its hops, what wakes them, and its start and stop."""

import logging
import time
from collections.abc import Callable
from typing import Any

from bridge.dispatch import notifications
from bridge.dispatch.dispatcher import Dispatcher
from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.dispatch.monitor import Monitor
from bridge.dispatch.notification_relay import NotificationRelay
from bridge.dispatch.reconciler import Reconciler
from bridge.dispatch.recovery import Recovery
from bridge.dispatch.running import Running, running
from bridge.dispatch.suspects import Suspects
from bridge.dispatch.throughput import Throughput
from bridge.dispatch.upkeep import Upkeep
from bridge.errors import BridgeError, WrongKeyError
from bridge.postgres import connection_budget
from bridge.postgres.job_queue import BULK_CHANNEL, CHANNEL, JobQueue
from bridge.postgres.link import Link
from bridge.postgres.listener import Listener
from bridge.postgres.notification_outbox import NotificationOutbox
from bridge.runtime.process_name import process_name
from bridge.settings import Settings
from bridge.settings.redis_address import parse_redis_address
from bridge.startup import check_stores
from bridge.transport.client import connect_redis, memory_policy
from bridge.transport.epoch import RedisEpoch
from bridge.transport.names import names_of
from bridge.transport.publisher import Publisher
from bridge.transport.wakeups import WakeUps

logger = logging.getLogger(__name__)


class BridgeProcess:
    """`mobvibe run`: six hops, each with a loop and a link of its own, and two channels that wake them."""

    def __init__(self, settings: Settings) -> None:
        dsn = settings.postgres_dsn()
        self._settings = settings
        self._name = process_name(settings.worker_id)
        self._redis = connect_redis(settings.redis_address(), namespace=settings.redis_namespace)
        self._publisher = Publisher(self._redis, settings.redis_namespace)
        self._throughput = Throughput()
        self._hand_over_times = HandOverTimes()

        self._dispatcher = running("dispatcher", dsn, self._new_dispatcher)
        self._recovery = running("recovery", dsn, self._new_recovery)
        self._reconciler = running("reconciler", dsn, self._new_reconciler)
        monitor = running("monitor", dsn, self._new_monitor, keeps_link=False)
        self._upkeep = running("upkeep", dsn, self._new_upkeep)
        self._relay = running("relay", dsn, self._new_relay)
        self._hops: list[Running[Any]] = [
            self._dispatcher, self._recovery, self._reconciler, monitor, self._upkeep, self._relay,
        ]  # fmt: skip

        self._job_notifications = Listener(
            settings.session_dsn(), CHANNEL, self._on_new_job, {BULK_CHANNEL: self._on_bulk_operation}
        )
        freed = names_of(self._redis, settings.redis_namespace).freed
        self._slot_messages = WakeUps(self._redis, freed, self._on_slot_message)

    # The hops: pending → handed over → (started and settled by a worker) → or taken back.

    def _new_dispatcher(self, link: Link) -> Dispatcher:
        return Dispatcher(
            JobQueue(link),
            self._publisher,
            self._on_unanswered_claim,
            self._throughput,
            self._on_worker_started,
            self._hand_over_times,
            name=self._name,
            lease_seconds=self._settings.lease_seconds,
            poll_seconds=self._settings.poll_interval_ms / 1000,
        )

    def _new_recovery(self, link: Link) -> Recovery:
        return Recovery(link, self._on_claimable, self._on_worker_lost, lease_seconds=self._settings.lease_seconds)

    def _new_reconciler(self, link: Link) -> Reconciler:
        queue = JobQueue(link)
        suspects = Suspects(
            queue,
            self._publisher,
            self._throughput.suspects_per_batch,
            self._on_closed_queues,
            self._hand_over_times,
            name=self._name,
            lease_seconds=self._settings.lease_seconds,
        )
        epoch = RedisEpoch(self._redis, self._settings.redis_namespace)
        return Reconciler(
            queue, self._publisher, epoch, suspects.hand_over, self._on_closed_queues, self._hand_over_times
        )

    def _new_monitor(self, link: Link) -> Monitor:
        return Monitor(
            JobQueue(link),
            self._redis,
            namespace=self._settings.redis_namespace,
            interval_seconds=self._settings.monitor_interval_ms / 1000,
        )

    def _new_upkeep(self, link: Link) -> Upkeep:
        return Upkeep(JobQueue(link), self._hand_over_times, retention=self._settings.retention)

    def _new_relay(self, link: Link) -> NotificationRelay:
        return NotificationRelay(NotificationOutbox(link), name=self._name)

    # From start to stop.

    def check(self, rest: Callable[[float], object] = time.sleep) -> None:
        """Refuse to start on stores that cannot serve, see `check_stores`. `rest` waits between two tries."""
        self._publisher.mark = check_stores(
            self._settings, self._redis, connections=connection_budget.BRIDGE, rest=rest
        )
        if (policy := memory_policy(self._redis)) not in (None, "noeviction"):
            logger.warning(
                "Redis drops messages when its memory is full: maxmemory-policy is %s, set it to noeviction", policy
            )

    def start(self) -> None:
        self._job_notifications.start()
        self._slot_messages.start()
        for one in self._hops:
            one.loop.start()
        road = parse_redis_address(self._settings.redis_address()).road
        logger.info("Bridge ready", extra={"pollIntervalMs": self._settings.poll_interval_ms, "redis": road})

    def stop(self, timeout_seconds: float) -> bool:
        """Stop claiming and end; False when a loop was still at work `timeout_seconds` after it was asked to end.

        A batch that was claimed is handed over or put back before its loop ends, so nothing is left behind.
        """
        for one in self._hops:
            one.loop.stop()
        ended = [one.loop.join(timeout_seconds) for one in self._hops]
        self._job_notifications.close()
        self._slot_messages.close()
        clean = all(ended)
        for last in (self._dispatcher, self._relay):
            if ended[self._hops.index(last)]:
                self._finish(last.hop)
        if clean:
            for one in self._hops:
                one.link.close()
            self._redis.close()
        return clean

    def _finish(self, hop: Dispatcher | NotificationRelay) -> None:
        try:
            hop.finish()
        except BridgeError as error:
            logger.debug("The last jobs were not handed over or notified of", extra={"reason": str(error)})

    # What wakes a hop before its rest is over. Each is called from the thread that noticed.

    def _on_new_job(self, payload: str) -> None:
        """Postgres notified us, or may have meanwhile: then `payload` is empty."""
        priority = notifications.priority(payload) if payload else None
        self._dispatcher.hop.job_inserted(priority)
        self._dispatcher.loop.wake()  # before the line is written, which takes as long as a good part of the claim
        if payload:
            logger.info("New job notification received", extra=notifications.log_fields(payload))
        if priority is not None and self._relay.hop.heard():
            self._relay.loop.wake()

    def _on_bulk_operation(self, _payload: str) -> None:
        self._upkeep.loop.wake()

    def _on_slot_message(self, text: str | None) -> None:
        self._recovery.hop.active()
        if self._dispatcher.hop.on_message(text):
            self._dispatcher.loop.wake()

    def _on_unanswered_claim(self) -> None:
        self._reconciler.hop.claim_unanswered()

    def _on_worker_started(self) -> None:
        self._recovery.hop.routing.worker_started()
        self._recovery.loop.wake()

    def _on_closed_queues(self, error: WrongKeyError) -> None:
        self._dispatcher.hop.close_queues(error)

    def _on_worker_lost(self) -> None:
        self._reconciler.hop.search()
        self._reconciler.loop.wake()

    def _on_claimable(self) -> None:
        """Jobs can be claimed that could not before: they were taken back, or moved to another queue."""
        self._dispatcher.hop.request_count()
        self._dispatcher.loop.wake()
        self._reconciler.hop.reclaimed()
        self._reconciler.loop.wake()

"""The bridge put together: each of its loops on a link of its own."""

import json
import logging
import os
import socket
import time
from collections.abc import Callable

from bridge import connection_budget
from bridge.addresses import host_and_port
from bridge.database import Link
from bridge.dispatcher import Dispatcher
from bridge.errors import WrongKeyError
from bridge.job_queue import CHANNEL, JobQueue
from bridge.listener import Listener
from bridge.loop import Loop
from bridge.monitor import Monitor
from bridge.pace import Pace
from bridge.reconciler import Reconciler
from bridge.recovery import Recovery
from bridge.settings import Settings
from bridge.startup_checks import check_database, mark_of_database, patiently
from bridge.suspects import Suspects
from bridge.transport.client import connect_redis, memory_policy
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.names import names_of
from bridge.transport.publisher import Publisher
from bridge.transport.road_mark import RoadMark
from bridge.transport.server_check import check_road
from bridge.transport.wakeups import WakeUps
from bridge.upkeep import Upkeep

logger = logging.getLogger(__name__)

_LOOPS = ("dispatcher", "recovery", "reconciler", "monitor", "upkeep")


class BridgeProcess:
    """`bridge run`: from start to stop, in the order of the methods."""

    def __init__(self, settings: Settings) -> None:
        dsn = settings.postgres_dsn()
        self._settings = settings
        self._redis = connect_redis(settings.redis_address())
        namespace = settings.redis_namespace
        self._links = [Link(dsn, name) for name in _LOOPS]
        dispatch_link, recovery_link, reconciler_link, monitor_link, upkeep_link = self._links
        self._mark = DatabaseMark(self._redis, namespace)
        publisher = Publisher(self._redis, namespace, self._mark)

        name = f"{socket.gethostname()}:{os.getpid()}"
        pace = Pace()
        again = JobQueue(reconciler_link)
        suspects = Suspects(
            again, publisher, pace.in_line, self._queues_closed, name=name, lease_seconds=settings.lease_seconds
        )
        road = RoadMark(self._redis, namespace)
        self._reconciler = Reconciler(again, publisher, road, suspects.hand_over, self._queues_closed)
        self._reconcile = Loop("reconciler", self._reconciler.step)
        dispatcher = Dispatcher(
            JobQueue(dispatch_link),
            publisher,
            self._reconciler.doubt,
            pace,
            self._worker_began,
            name=name,
            lease_seconds=settings.lease_seconds,
            poll_seconds=settings.poll_interval_ms / 1000,
        )
        self._dispatcher = dispatcher
        self._dispatch = Loop("dispatcher", dispatcher.step)
        recovery = self._take_back = Recovery(
            recovery_link, self._freed, self._worker_lost, lease_seconds=settings.lease_seconds
        )
        self._recovery = Loop("recovery", recovery.step)
        monitor = Monitor(
            JobQueue(monitor_link),
            self._redis,
            namespace=namespace,
            interval_seconds=settings.monitor_interval_ms / 1000,
        )

        def monitor_once() -> float:
            try:
                return monitor.step()
            finally:
                monitor_link.close()  # it would rest for long, and its end would be noticed late

        self._monitor = Loop("monitor", monitor_once)
        self._upkeep = Loop("upkeep", Upkeep(JobQueue(upkeep_link), retention=settings.retention).step)
        self._listener = Listener(dsn, CHANNEL, self._new_job)
        self._room = WakeUps(self._redis, names_of(self._redis, namespace).freed, self._room_again)

    def check(self, rest: Callable[[float], object] = time.sleep) -> None:
        """Refuse to start on stores that cannot serve: unreachable, not migrated, without rights, another database's.

        `rest` waits between two tries.
        """
        dsn, namespace = self._settings.postgres_dsn(), self._settings.redis_namespace
        check_database(dsn, connections=connection_budget.BRIDGE, rest=rest)
        text = mark_of_database(dsn)
        where = host_and_port(self._settings.redis_address(), 6379)
        patiently(lambda: check_road(self._redis, namespace, self._mark, text), where=where, rest=rest)
        if (policy := memory_policy(self._redis)) not in (None, "noeviction"):
            logger.warning(
                "Redis drops messages when its memory is full: maxmemory-policy is %s, set it to noeviction", policy
            )

    def start(self) -> None:
        self._listener.start()
        self._room.start()
        for loop in (self._dispatch, self._recovery, self._reconcile, self._monitor, self._upkeep):
            loop.start()
        logger.info("Bridge ready", extra={"pollIntervalMs": self._settings.poll_interval_ms})

    def stop(self, timeout_seconds: float) -> bool:
        """Stop claiming and leave; False when a loop was still at work after the time given.

        A batch that was claimed is handed over or put back before its loop ends, so nothing is left behind.
        """
        loops = (self._dispatch, self._monitor, self._upkeep, self._reconcile, self._recovery)
        for loop in loops:
            loop.stop()
        ended = [loop.join(timeout_seconds) for loop in loops]
        self._listener.close()
        self._room.close()
        clean = all(ended)
        if clean:
            for link in self._links:
                link.close()
            self._redis.close()
        return clean

    def _new_job(self, payload: str) -> None:
        if payload:
            logger.info("New job notification received", extra=notified(payload))
        self._dispatch.wake()

    def _freed(self) -> None:
        self._dispatcher.count_anew()
        self._dispatch.wake()
        self._reconciler.freed()
        self._reconcile.wake()

    def _queues_closed(self, error: WrongKeyError) -> None:
        self._dispatcher.close_queues(error)

    def _worker_lost(self) -> None:
        self._reconciler.search()
        self._reconcile.wake()

    def _worker_began(self) -> None:
        self._take_back.routing.worker_began()
        self._recovery.wake()

    def _room_again(self, message: str | None) -> None:
        self._take_back.active()
        if self._dispatcher.heard(message):
            self._dispatch.wake()


def notified(payload: str) -> dict[str, object]:
    """What a notification says, for the log. It may be anybody's: nothing else is done with it."""
    try:
        note = json.loads(payload)
        if "count" in note:
            return {"jobs": int(note["count"])}
        session = note["session_id"]
        return {"jobId": str(note["job_id"])[:36], "sessionId": None if session is None else str(session)[:36]}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}

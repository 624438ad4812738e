"""Dramatiq middleware that keeps the worker process's file for the probe, from boot to shutdown."""

import multiprocessing.util

from dramatiq import Broker, Middleware
from dramatiq.worker import ConsumerThread

from bridge.runtime.liveness import Liveness
from bridge.runtime.watchdog import WATCHDOG
from bridge.settings import Settings


class Watched(Middleware):
    """Watches the threads that take jobs. Those that run jobs are not watched: a job may take any time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def after_process_boot(self, broker: Broker) -> None:  # noqa: ARG002 -- Dramatiq's name
        liveness = Liveness("worker", self._settings)
        liveness.start()
        # A child of multiprocessing does not run atexit functions.
        multiprocessing.util.Finalize(None, liveness.close, exitpriority=0)

    def after_consumer_thread_boot(self, broker: Broker, thread: ConsumerThread) -> None:  # noqa: ARG002
        WATCHDOG.watch(f"consumer of {thread.queue_name}", lambda: thread.paused)

    def before_consumer_thread_shutdown(self, broker: Broker, thread: ConsumerThread) -> None:  # noqa: ARG002
        WATCHDOG.forget()

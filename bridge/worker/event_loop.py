"""The event loop of async actors. An attempt ends when its coroutine ends; no exception in one ends the loop."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from dramatiq import Broker, Worker
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread, set_event_loop_thread
from dramatiq.middleware import AsyncIO, Interrupt

from bridge.worker.forks import end_in_copy_of

logger = logging.getLogger(__name__)

OnDead = Callable[[frozenset[int]], None]

# An exception raised in a thread that waits is only delivered when it runs again. The same value as in Dramatiq's.
_INTERRUPT_CHECK_SECONDS = 0.1
_CANCEL_AGAIN_SECONDS = 10.0  # a third of the grace of an actor that ignores its interrupt (UNRESPONSIVE_SECONDS)
# Pause after another's stop of the loop, doubled each time: a callback that always stops it must not use a whole core.
_PAUSE_SECONDS, _PAUSE_MOST = 0.01, 1.0
_STEADY_SECONDS = 5.0  # a loop that has run for longer than the longest pause begins with the short pause again
_START_SECONDS = 5.0  # a thread begins at once, but on an overloaded machine; after that the boot fails
_STOP_SECONDS = 2.0  # to end at shutdown; the thread is a daemon, so the process does not wait longer


class _Outcome:
    """How a coroutine ended. Keeps its exception, because a BaseException that leaves a task would end the loop."""

    def __init__(self, coroutine: Awaitable[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.over = threading.Event()

    def begin(self) -> None:
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Called in the loop's thread, as `begin` is, and always after it if both are called."""
        if self._task is not None:
            self._task.cancel()
        else:
            self._discard()

    async def _run(self) -> None:
        process = os.getpid()
        try:
            self.result = await self._coroutine
        except BaseException as error:  # noqa: BLE001 -- raised again in the thread that waits for it
            self.error = error
        finally:
            end_in_copy_of(process)
            self.over.set()  # here, not in `_done`: a stopped loop calls no callbacks

    def _done(self, _: "asyncio.Task[None]") -> None:
        if not self.over.is_set():  # cancelled before its first step
            self._discard()

    def _discard(self) -> None:
        if isinstance(self._coroutine, Coroutine):
            self._coroutine.close()
        self.over.set()


class JobLoop(EventLoopThread):
    """Dramatiq's thread for coroutines. It is a daemon, and what runs in it cannot end it."""

    def __init__(self, log: logging.Logger, on_dead: OnDead) -> None:
        super().__init__(log)
        self.daemon = True
        self._on_dead = on_dead
        self._waiting: set[int] = set()  # the threads whose coroutines run here
        self._stopping = threading.Event()

    def run(self) -> None:
        pause = _PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            error: BaseException | None = None
            try:
                self.loop.run_forever()
            except BaseException as raised:  # noqa: BLE001 -- SystemExit too
                error = raised
            if self._stopping.is_set() or self.loop.is_closed():
                break
            logger.error("Something stopped the event loop of async actors: it goes on", exc_info=error)
            pause = _PAUSE_SECONDS if time.monotonic() - began > _STEADY_SECONDS else min(2 * pause, _PAUSE_MOST)
            self._stopping.wait(pause)
        if not self._stopping.is_set():
            logger.critical("The event loop of async actors is closed: this worker process ends")
            self._on_dead(frozenset(self._waiting))

    def stop(self) -> None:
        self._stopping.set()
        if self.loop.is_running():
            self.loop.call_soon_threadsafe(self.loop.stop)
        self.join(_STOP_SECONDS)  # a coroutine that blocks must not delay the end of the process
        if not self.is_alive():
            self.loop.close()

    def run_coroutine(self, coro: Awaitable[Any]) -> Any:
        """Return the coroutine's result, or raise its exception. An interrupt of this thread cancels it, and is raised
        when it has ended.

        It is cancelled repeatedly. If it never ends, this thread waits, and the process is ended in the end.
        """
        outcome = _Outcome(coro, self.loop)
        thread = threading.get_ident()
        self._waiting.add(thread)
        try:
            return self._run_coroutine(outcome)
        finally:
            self._waiting.discard(thread)

    def _run_coroutine(self, outcome: _Outcome) -> Any:
        try:  # from here on: an interrupt may come between any two steps
            self.loop.call_soon_threadsafe(outcome.begin)
            self._wait(outcome, _INTERRUPT_CHECK_SECONDS)
        except Interrupt as interrupt:
            self._cancel(outcome)
            raise interrupt.with_traceback(None) from None
        if outcome.error is not None:
            try:
                raise outcome.error
            finally:
                outcome.error = None  # or the traceback would hold this frame, and this frame it
        return outcome.result

    def _cancel(self, outcome: _Outcome) -> None:
        while not outcome.over.is_set():
            try:
                self.loop.call_soon_threadsafe(outcome.cancel)
                self._wait(outcome, _INTERRUPT_CHECK_SECONDS, _CANCEL_AGAIN_SECONDS)
            except Interrupt:
                continue  # another interrupt: the first one is raised

    def _wait(self, outcome: _Outcome, check_seconds: float, most_seconds: float | None = None) -> None:
        waited = 0.0
        while not outcome.over.wait(check_seconds):
            waited += check_seconds
            if most_seconds is not None and waited >= most_seconds:
                return
            if not self.is_alive():
                raise RuntimeError("the event loop of async actors has ended")


class JobAsyncIO(AsyncIO):
    """Dramatiq's middleware for async actors, with our loop.

    `on_dead` must end the process. It gets the ids of the threads that wait for coroutines that will never end.
    """

    def __init__(self, on_dead: OnDead) -> None:
        super().__init__()
        self._on_dead = on_dead

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 -- Dramatiq's names
        thread = JobLoop(self.logger, self._on_dead)
        thread.start(timeout=_START_SECONDS)
        set_event_loop_thread(thread)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 -- Dramatiq's names
        thread = get_event_loop_thread()
        set_event_loop_thread(None)
        if thread is not None:
            thread.stop()

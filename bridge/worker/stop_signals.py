"""What a stop signal does to a worker process. Dramatiq's child process runs this."""

import logging
import multiprocessing
import multiprocessing.synchronize
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from bridge.runtime.signals import SAME_SIGNAL_SECONDS

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, FrameType | None], object]


class StopSignals:
    """Each stop signal counts once, and ends the process whatever its actors package does with signals.

    Dramatiq takes a second SIGTERM for "at once". But a signal to the whole process group, as honcho, systemd
    and `timeout` send it, reaches a worker twice: directly, and passed on by the parent. One that comes within a
    second of the first is the same signal.

    Made by `connect_broker()`: by then Dramatiq's handlers are set, and those of the package are not.
    """

    def __init__(self) -> None:
        found: Any = signal.getsignal(signal.SIGTERM)
        self._dramatiqs: Handler | None = found if getattr(found, "__module__", "") == "dramatiq.cli" else None
        self._theirs: dict[int, Handler] = {}
        self._came_at: list[float] = []
        self._may_end_at_once = False

    def take(self) -> None:
        """Handle them from now on. A handler of the package's is called after Dramatiq's. May be called again."""
        if self._dramatiqs is None:
            return
        for signum in _SIGNALS:
            found: Any = signal.getsignal(signum)
            if found == self._on_signal:
                continue
            if found != self._dramatiqs:
                logger.warning("The actors package has taken a stop signal: the worker takes it back, and ends with it")
                if callable(found):
                    self._theirs[signum] = found
            signal.signal(signum, self._on_signal)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._came_at and time.monotonic() - self._came_at[0] < SAME_SIGNAL_SECONDS:
            return
        self._came_at.append(time.monotonic())
        assert self._dramatiqs is not None
        self._dramatiqs(signum, frame)
        if signum in self._theirs:
            self._theirs[signum](signum, frame)
        if self._may_end_at_once:
            raise SystemExit(0)

    @contextmanager
    def ending_at_once(self) -> Iterator[None]:
        """In here a stop signal ends the process at once, whatever it waits for. For what comes before the work.

        Dramatiq only notes the signal, and acts on it when the worker has started.
        """
        self._may_end_at_once = True
        try:
            if self._came_at:
                raise SystemExit(0)
            yield
        finally:
            self._may_end_at_once = False


def rest_at_boot(seconds: float) -> None:
    """Rest before another try, and let signals through meanwhile.

    Dramatiq's parent process blocks signals until each worker has booted or `--worker-fork-timeout` is over, so none
    is passed on to us. We tell it that this one has booted.
    """
    *_, booted = getattr(multiprocessing.current_process(), "_args", ()) or (None,)
    if isinstance(booted, multiprocessing.synchronize.Event):
        booted.set()
    time.sleep(seconds)

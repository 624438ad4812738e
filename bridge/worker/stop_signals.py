"""Handles the stop signals of a worker process. Runs in Dramatiq's child process."""

import inspect
import logging
import multiprocessing
import multiprocessing.synchronize
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar

from bridge.runtime.signals import SAME_SIGNAL_SECONDS

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
Handler = Callable[[int, FrameType | None], object]


class StopSignals:
    """Each stop signal counts once, and ends the process, whatever handlers its actors package sets.

    Dramatiq takes a second SIGTERM for "stop at once". But a signal to the whole process group, as honcho, systemd
    and `timeout` send it, reaches a worker twice: directly, and passed on by the parent. One that comes within a
    second of the first is the same signal.

    Handlers of the package are called with the first signal, whether they were set before `connect_broker()`, which
    makes this object, or after it. They may call the handler that they found, and raise anything.

    While the process boots, a signal ends it at once: nothing can be lost. Dramatiq itself only notes the signal, and
    acts on it when the worker has started.
    """

    _is_booting: ClassVar[bool] = False  # of the process, which may have a second object of this class

    def __init__(self) -> None:
        self._dramatiqs = _dramatiqs_handler()
        StopSignals._is_booting = self._dramatiqs is not None
        self._installed: dict[int, Handler] = {}
        self._came_at: list[float] = []
        self._second_came = False
        self._is_calling_theirs = False
        # A handler that the package sets later finds ours, and may call it any number of times.
        self._found_theirs = self._install()

    def take(self) -> None:
        """Handle them from now on, also those that the package has taken meanwhile. May be called again."""
        self._dramatiqs = self._dramatiqs or _dramatiqs_handler()
        if self._install() or self._found_theirs:
            logger.warning("The actors package has taken a stop signal: the worker takes it back, and ends with it")
        self._found_theirs = False

    def _install(self) -> bool:
        """Replace the handlers that are set by ours. Returns whether one of them was the package's."""
        if self._dramatiqs is None:
            return False
        found_theirs = [self._install_over(signum, signal.getsignal(signum)) for signum in _SIGNALS]
        return any(found_theirs)

    def _install_over(self, signum: int, found: Any) -> bool:
        if found is self._installed.get(signum):
            return False
        if signum == signal.SIGINT and found == signal.SIG_IGN:  # set by Dramatiq: the parent passes it on as a SIGTERM
            return False
        is_theirs = found is not self._dramatiqs
        self._installed[signum] = self._handler(found if is_theirs and callable(found) else None)
        signal.signal(signum, self._installed[signum])
        return is_theirs and getattr(found, "__module__", "") != __name__  # one of ours, of a second connect_broker()

    def _handler(self, theirs: Handler | None) -> Handler:
        def on_signal(signum: int, frame: FrameType | None) -> None:
            if self._is_calling_theirs and self._installed[signum] is not on_signal:
                if theirs is not None:  # not a signal, but a call by the handler that replaced this one
                    theirs(signum, frame)
            elif self._is_another_signal():
                self._stop(theirs, signum, frame)

        return on_signal

    def _is_another_signal(self) -> bool:
        # Noted before anything is asked of it: passed on, the same signal may interrupt each line here.
        came_at = time.monotonic()
        self._came_at.append(came_at)
        first_at = self._came_at[0]
        if first_at is came_at:
            return True
        if came_at - first_at < SAME_SIGNAL_SECONDS:
            return False
        self._second_came = True
        return True

    def _stop(self, theirs: Handler | None, signum: int, frame: FrameType | None) -> None:
        assert self._dramatiqs is not None
        is_second = self._second_came
        if theirs is not None and not is_second:
            self._call(theirs, signum, frame)
        if _still_runs(self._dramatiqs):  # theirs may have called it
            self._dramatiqs(signum, frame)
        if is_second:
            self._dramatiqs(signum, frame)  # raises SystemExit
        if self._is_booting:
            raise SystemExit(0)

    def _call(self, theirs: Handler, signum: int, frame: FrameType | None) -> None:
        self._is_calling_theirs = True
        try:
            theirs(signum, frame)
        except BaseException as error:
            if self._second_came:
                raise  # a second signal came meanwhile: for Dramatiq that is "stop at once"
            logger.warning(
                "The actors package's handler of a stop signal raised: the worker stops as if it had not",
                extra={"signal": signal.Signals(signum).name, "error": repr(error)},
            )
        finally:
            self._is_calling_theirs = False
            signal.signal(signum, self._installed[signum])  # some handlers restore the one that they had found

    def booted(self) -> None:
        """From here on a stop signal lets jobs end."""
        StopSignals._is_booting = False
        if self._dramatiqs is not None and not _still_runs(self._dramatiqs):  # a signal before ours was set
            raise SystemExit(0)


def _dramatiqs_handler() -> Handler | None:
    """The handler that Dramatiq set in this worker process, even if another was set since. Runs in the main thread."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "worker_process" and "termhandler" in frame.f_locals:
            handler: Handler = frame.f_locals["termhandler"]
            return handler
        frame = frame.f_back
    return None


def _still_runs(dramatiqs: Handler) -> bool:
    """Whether Dramatiq's handler was not called yet. A second call of it ends the process at once."""
    return bool(inspect.getclosurevars(dramatiqs).nonlocals["running"])


def let_parent_pass_signals_on() -> None:
    """Dramatiq's parent process blocks signals until each worker has booted or `--worker-fork-timeout` is over.

    The wait for a store may take longer, so we tell it before that this one has booted. Not earlier: it then asks which
    processes the middleware want to have forked, which is known when all is imported.
    """
    *_, booted = getattr(multiprocessing.current_process(), "_args", ()) or (None,)
    if isinstance(booted, multiprocessing.synchronize.Event):
        booted.set()

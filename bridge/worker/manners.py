"""How a worker's process behaves towards signals, its parent and its own end. Dramatiq's child process runs this."""

import multiprocessing.synchronize
import multiprocessing.util
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

from bridge.logs import write_last_lines
from bridge.parent_watch import watch_parent
from bridge.signals import SAME_SIGNAL_SECONDS


def own_stderr() -> TextIO:
    """Where this process's log lines go: straight to standard error.

    Dramatiq sends what its workers write to their parent, line by line, to be written there: that is as
    much work again as writing it. With its option --log-file only the parent knows where to write.
    """
    if any(argument.startswith("--log-file") for argument in sys.argv):
        return sys.stderr
    return os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")


_came_at: list[float] = []  # when the first stop signal came
_may_end_at_once = False


def behave() -> None:
    """Make one stop signal one stop signal, and end with the parent.

    Dramatiq takes a second SIGTERM for "at once". But a signal to the whole process group, as honcho, systemd
    and `timeout` send it, reaches a worker twice: by itself, and passed on by the parent. What comes within a
    second of the first is the same signal.
    """
    watch_parent()
    # A child of multiprocessing ends without Python's usual farewell, and log lines wait a few milliseconds.
    multiprocessing.util.Finalize(None, write_last_lines, exitpriority=0)
    theirs: Any = signal.getsignal(signal.SIGTERM)
    if not callable(theirs):
        return

    def on_signal(signum: int, frame: FrameType | None) -> None:
        if _came_at and time.monotonic() - _came_at[0] < SAME_SIGNAL_SECONDS:
            return
        _came_at.append(time.monotonic())
        theirs(signum, frame)
        if _may_end_at_once:
            raise SystemExit(0)

    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_signal)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Around what comes before a worker's work: in here, a stop signal ends the process, whatever is waited for.

    Dramatiq only notes the signal, and looks when the worker has begun.
    """
    global _may_end_at_once  # noqa: PLW0603 -- a signal's handler is the process's
    _may_end_at_once = True
    try:
        if _came_at:
            raise SystemExit(0)
        yield
    finally:
        _may_end_at_once = False


def rest_at_boot(seconds: float) -> None:
    """Rest before another try, and let signals through meanwhile.

    Dramatiq's parent process blocks them, and so keeps them from us, until each worker has begun or
    `--worker-fork-timeout` is over. We tell it that this one has.
    """
    *_, booted = getattr(multiprocessing.current_process(), "_args", ()) or (None,)
    if isinstance(booted, multiprocessing.synchronize.Event):
        booted.set()
    time.sleep(seconds)


def end_in_copy_of(process: int) -> None:
    """End here if this is not the process of that id, but a copy that an actor's fork made.

    Where both come back from the actor, the copy would go on as a worker without its other threads, holding the
    connections of this one. It ends as a script would: with the code of a SystemExit, or 1 and the traceback.
    """
    if os.getpid() == process:
        return
    error = sys.exception()
    code = 0 if error is None else 1
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        code = error.code or 0
    elif error is not None:
        traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed by now, or full
            stream.flush()
    os._exit(code & 0xFF)

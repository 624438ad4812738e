"""How a worker's process behaves towards signals, its parent and its own end. Dramatiq's child process runs this."""

import multiprocessing.util
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
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
    first_at: list[float] = []

    def on_signal(signum: int, frame: FrameType | None) -> None:
        if first_at and time.monotonic() - first_at[0] < SAME_SIGNAL_SECONDS:
            return
        first_at.append(time.monotonic())
        theirs(signum, frame)

    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_signal)


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

"""Ends processes whose parent has died, so that none outlives the process that started it."""

import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0  # between looks at the parent; where the system tells of its death, nothing waits for them
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
_PR_SET_CHILD_SUBREAPER = 36  # from <linux/prctl.h>


def watch_parent(grace_seconds: float, interval_seconds: float = _CHECK_SECONDS, *, parent: int | None = None) -> None:
    """Send this process SIGTERM when its parent has died, and SIGKILL if it still runs after `grace_seconds`.

    Works on every system; notices the death within `interval_seconds`. `parent` is its process id, if the caller knows
    it: when the parent died before this call, getppid() already returns another one.
    """
    parent = parent or os.getppid()

    def watch() -> None:
        never = threading.Event()
        while not never.wait(interval_seconds):
            if os.getppid() != parent:
                logger.warning("The parent process has died, stopping")
                os.kill(os.getpid(), signal.SIGTERM)
                never.wait(grace_seconds)
                os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def dies_with_parent(signum: int) -> Callable[[], None]:
    """For Popen's preexec_fn: the child gets `signum` when the thread that started it dies. Linux only."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent = os.getpid()

    def in_child() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
            if os.getppid() != parent:  # it died before prctl took effect
                os.kill(os.getpid(), signum)

    return in_child


def adopt_orphans() -> None:
    """Become the parent of processes that our children leave behind, so that we can find and end them. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_of(pid: int) -> list[int]:
    """The live children of a process, read from /proc; an empty list where there is no /proc."""
    try:
        candidates = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []
    return [candidate for candidate in candidates if _parent_of(candidate) == pid]


def _parent_of(pid: int) -> int | None:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)

"""Actors that do something to the process they run in."""

import asyncio
import ctypes
import logging
import logging.config
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from dramatiq.middleware import raise_thread_exception

from bridge import Job, actor


def _reconfigure_logging() -> None:
    logging.config.dictConfig({"version": 1, "handlers": {}, "root": {"level": "ERROR", "handlers": []}})


def _shut_logging_down() -> None:
    logging.shutdown()
    logging.disable(logging.CRITICAL)
    logging.getLogger().handlers.clear()


def _close_output() -> None:
    sys.stdout.close()
    os.close(1)


def _exhaust_memory() -> None:
    """Set a limit as `ulimit -v` does: the next large allocation fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 50_000_000, hard))
    try:
        bytearray(500_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _lose_thread() -> None:
    raise_thread_exception(threading.get_ident(), SystemExit)


def _close_links() -> None:
    """Close all file descriptors, as daemonizing libraries do first."""
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        try:
            if str(descriptor.readlink()).startswith("socket:"):
                socket.socket(fileno=os.dup(int(descriptor.name))).shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def _fork() -> None:
    """Fork. The child, a copy of this process with only this thread, returns from here as well."""
    os.fork()


DEEDS: dict[str, Callable[[], object]] = {
    "os._exit(0)": lambda: os._exit(0),
    "os._exit(9)": lambda: os._exit(9),
    "os.abort()": os.abort,
    "segmentation fault": lambda: ctypes.string_at(0),
    **{
        name: lambda name=name: os.kill(os.getpid(), getattr(signal, name))  # type: ignore[misc]
        for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGPIPE", "SIGALRM", "SIGCHLD")
    },
    "reconfigures logging": _reconfigure_logging,
    "shuts logging down": _shut_logging_down,
    "closes its output": _close_output,
    "memory limit": _exhaust_memory,
    "recursion limit": lambda: sys.setrecursionlimit(80),
    "socket time-out": lambda: socket.setdefaulttimeout(0.001),
    "loses its thread": _lose_thread,
    "closes all connections": _close_links,
    "fork": _fork,
    "fork in C": lambda: ctypes.PyDLL(None).fork(),  # Python's own hooks for forks do not run
}


@actor(max_retries=2)
def does(job: Job) -> dict[str, bool]:
    DEEDS[job.payload["deed"]]()
    return {"done": True}


@actor(max_retries=2)
def waits_for_its_fork(job: Job) -> dict[str, int]:
    """Fork, and return the exit code of the copy."""
    child = os.fork()
    if child == 0:
        raise {"raises": ValueError("in the copy"), "exits": SystemExit(3)}[job.payload["copy"]]
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}


@actor(max_retries=2)
async def forks_async(job: Job) -> dict[str, bool]:
    _fork()
    await asyncio.sleep(0)
    return {"done": True}


@actor(max_retries=2)
async def stops_the_loop(job: Job) -> dict[str, bool]:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return {"done": True}


@actor(max_retries=2)
async def closes_the_loop(job: Job) -> None:
    loop = asyncio.get_running_loop()
    loop.stop()
    threading.Thread(target=_close_when_stopped, args=(loop,), daemon=True).start()
    await asyncio.sleep(3600)


def _close_when_stopped(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            loop.close()
        except RuntimeError:
            continue
        return

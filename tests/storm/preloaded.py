"""Worker processes that start in a tenth of the time: forked from a process that has all modules loaded.

A storm starts more than a thousand of them. What runs is `dramatiq actors`, as anywhere; only importing is done before.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import anthropic.resources.messages
import anthropic.types  # noqa: F401 -- loaded for those that are forked
import dramatiq.cli
import httpx2  # noqa: F401

import bridge.sessions.record
import bridge.worker.middleware  # noqa: F401
from tests.campaign.services import BIN, Service

_PR_SET_PDEATHSIG = 1


def forking() -> ForkServerContext:
    """Where they are forked from: started with the first one, ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class PreloadedService(Service):
    """`dramatiq actors`, with one process of some threads."""

    def __init__(
        self, name: str, context: ForkServerContext, threads: int, environment: Mapping[str, str], folder: Path
    ) -> None:
        command = [str(BIN / "dramatiq"), "actors", "-p", "1", "-t", str(threads), "--skip-logging"]
        super().__init__(name, command, environment, folder)
        self._context, self._threads = context, threads

    def start(self) -> None:
        if self._next:  # a kill point is armed as its module is imported
            super().start()
            return
        process = self._context.Process(target=_run, args=(self._environment, self.log, self._folder, self._threads))
        process.start()
        self._process = _Started(process)
        self.starts += 1
        self._died_at = None


class _Started:
    """A process as Service knows it."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        self._process, self.pid = process, process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        return self._process.exitcode or 0


def _run(environment: dict[str, str], log: Path, folder: Path, threads: int) -> None:
    multiprocessing.set_start_method("fork", force=True)  # Dramatiq's; here it would be ours
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # as Service has it
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.argv = ["dramatiq", "actors", "-p", "1", "-t", str(threads), "--skip-logging"]
    sys.exit(dramatiq.cli.main())

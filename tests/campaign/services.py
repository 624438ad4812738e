"""Processes that are restarted when they die, as systemd, Docker or Kubernetes do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psutil

from bridge.runtime.parent_watch import dies_with_parent

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
_RESTART_SECONDS = 0.3
_PLAIN = ("PATH", "HOME", "LANG", "TMPDIR")


class Started(Protocol):
    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Service:
    """One command. Call all methods from the thread that started it, because the process dies with that thread."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.starts = 0
        self._command = list(command)
        self._environment = {key: os.environ[key] for key in _PLAIN if key in os.environ} | dict(environment)
        self._folder = folder
        self._process: Started | None = None
        self._died_at: float | None = None
        self._next: dict[str, str] = {}
        self.keep_running = True

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        environment, self._next = self._environment | self._next, {}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- no thread holds a lock here
            )
        self.starts += 1
        self._died_at = None

    def start_next_time_with(self, environment: Mapping[str, str]) -> None:
        """For the next start only."""
        self._next = dict(environment)

    def tick(self) -> bool:
        """Start the process again a moment after its death. True if this call found it dead."""
        if self._process is None or self._process.poll() is None:
            return False
        if self._died_at is None:
            self._died_at = time.monotonic()
            return True
        if self.keep_running and time.monotonic() - self._died_at >= _RESTART_SECONDS:
            self.start()
        return False

    def send(self, signum: int) -> None:
        if self.pid is not None:
            os.kill(self.pid, signum)

    def reap(self) -> None:
        """Record the death of the process after another part has killed it."""
        if self._process is not None:
            self._process.wait(10)

    def workers(self) -> list[int]:
        """The child processes that run actors: Dramatiq's processes without children of their own."""
        if self.pid is None:
            return []
        try:
            family = psutil.Process(self.pid).children(recursive=True)
            return [child.pid for child in family if _runs_actors(child)]
        except psutil.NoSuchProcess:
            return []


def _runs_actors(process: psutil.Process) -> bool:
    try:
        command = " ".join(process.cmdline())
        return "dramatiq" in command and "resource_tracker" not in command and not process.children()
    except psutil.Error:
        return False


def continue_and_kill(processes: Sequence[psutil.Process]) -> None:
    """End the processes, even frozen ones."""
    for process in processes:
        for signum in (signal.SIGKILL, signal.SIGCONT):
            try:
                process.send_signal(signum)
            except psutil.NoSuchProcess:
                break
    psutil.wait_procs(processes, timeout=10)

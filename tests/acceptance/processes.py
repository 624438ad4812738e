"""Processes as users start them. Tests read their output and send them signals."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import psutil
import psycopg

from tests.support.commands import PLAIN, CommandResult, mobvibe
from tests.support.rows import Rows
from tests.support.waiting import eventually

BIN = Path(sys.executable).parent


class Process:
    """One process in a session of its own; its output in a file."""

    def __init__(self, command: list[str], cwd: Path, environment: dict[str, str], log: Path) -> None:
        self.log = log
        self.command = command
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=cwd,
                env=PLAIN | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"} | environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until the output holds `text`; a process that ends first fails the test with its last words."""

        def has_text() -> bool:
            if text in self.output:
                return True
            assert self.popen.poll() is None, f"{self.command} ended before {text!r}:\n{self.output[-3000:]}"
            return False

        eventually(has_text, seconds=seconds, what=f"{text!r} in the output of {self.command}")

    def descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.popen.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def send(self, signum: signal.Signals) -> None:
        self.popen.send_signal(signum)

    def wait(self, seconds: float) -> int:
        return self.popen.wait(seconds)

    def stop(self, seconds: float = 40) -> int:
        self.send(signal.SIGTERM)
        return self.wait(seconds)

    def end(self) -> None:
        """End this process and all its descendants, after a test."""
        family = self.descendants()
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=10)


class Launched(Process):
    """`mobvibe up`, and what it prints."""

    project: ClassVar[Path]
    all: ClassVar[list["Launched"]] = []

    def __init__(self, *args: str, **environment: str) -> None:
        log = self.project.parent / f"up.{len(self.all)}.log"
        command = [str(BIN / "mobvibe"), "up", *args]
        # A free port to begin with, because several tests may run at once.
        super().__init__(command, self.project, {"PORT": str(20_000 + os.getpid() % 20_000)} | environment, log)
        self._connections: list[psycopg.Connection[Any]] = []
        self.all.append(self)

    def rows(self) -> Rows:
        """The rows of its database; the connection ends with the process."""
        self._connections.append(psycopg.connect(self.printed("Postgres"), autocommit=True))
        return Rows(self._connections[-1])

    def end(self) -> None:
        for connection in self._connections:
            connection.close()
        super().end()

    @classmethod
    def end_all(cls) -> None:
        while cls.all:
            cls.all.pop().end()

    def wait_until_ready(self, seconds: float = 60) -> "Launched":
        self.wait_for("Ctrl-C stops everything", seconds)
        return self

    def interrupt(self) -> float:
        """Ctrl-C; the seconds until everything was stopped."""
        began = time.monotonic()
        self.send(signal.SIGINT)
        assert self.wait(20) == 0, self.output[-3000:]
        return time.monotonic() - began

    def printed(self, name: str) -> str:
        found = re.search(rf"^  {name} +(\S+)$", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]

    def curl_line(self) -> str:
        found = re.search(r"^  (curl -X POST .*?}')$", self.output, re.MULTILINE | re.DOTALL)
        assert found, self.output
        return found[1]

    def second_terminal(self, *args: str) -> CommandResult:
        return mobvibe(*args, cwd=self.project)


class Fleet:
    """Processes against stores of the test, started one by one."""

    def __init__(self, project: Path, environment: dict[str, str]) -> None:
        self.project = project
        self.environment = environment
        self.processes: list[Process] = []

    def start(self, *command: str, **environment: str) -> Process:
        name = f"{len(self.processes)}.{Path(command[0]).name}.log"
        process = Process(list(command), self.project, self.environment | environment, self.project.parent / name)
        self.processes.append(process)
        return process

    def bridge(self, **environment: str) -> Process:
        process = self.start(sys.executable, "-m", "bridge", "run", **environment)
        process.wait_for("Bridge ready")
        return process

    def worker(self, processes: int = 1, threads: int = 2, **environment: str) -> Process:
        """`dramatiq actors` by itself."""
        command = [str(BIN / "dramatiq"), "actors", "-p", str(processes), "-t", str(threads)]
        process = self.start(*command, **environment)
        eventually(lambda: process.output.count("Worker ready") == processes, seconds=30, what="ready workers")
        return process

    def end_all(self) -> None:
        for process in reversed(self.processes):
            process.end()


def worker_children(process: Process) -> list[psutil.Process]:
    """The processes of a `dramatiq` command that run actors."""
    return psutil.Process(process.popen.pid).children()

"""What the embedded servers have in common: starting and stopping the process, a free port, the log."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.dev.embedded.register import forget_process, remember_process
from bridge.errors import EmbeddedStoreError

HOST = "127.0.0.1"
_START_SECONDS = 30.0  # a start takes a second, and longer where Postgres must recover from a crash first
_CHECK_SECONDS = 0.01  # between looks whether it is ready: the rest of the start waits for it
_GRACE_SECONDS = 4.0  # for its stop signal: enough to write a small database to the disk
# SIGQUIT lets Postgres end at once. After SIGKILL only a system call can last, such as a write to a slow disk.
_QUIT_SECONDS, _KILL_SECONDS = 1.0, 5.0
_PORTS_TRIED = 3  # two in a row are seldom taken within a second
# What Postgres and Redis say then.
_PORT_IS_TAKEN = ("could not create any TCP/IP sockets", "Failed listening on port", "Address already in use")
_LINES = 50  # of the log: an error at its end may have some lines of details after it


class ServerProcess:
    """A server that we start in a session of its own, so that Ctrl-C in the terminal does not reach it."""

    def __init__(self, name: str, folder: Path, *, stop_signal: signal.Signals) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"embedded {self.name} is not running"
        return self._process.pid

    def start(
        self,
        command: Sequence[str | Path],
        is_ready: Callable[[], bool],
        *,
        in_child: Callable[[], None] | None = None,
        config: str = "",
        timeout_seconds: float = _START_SECONDS,
    ) -> None:
        """Start the server with `config` on its standard input, and wait until `is_ready()`.

        Raises EmbeddedStoreError, with the reason from the server's log, when it ends or is not ready in time.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [os.fspath(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=in_child,  # noqa: PLW1509 -- no other thread of the launcher holds a lock here
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(config.encode())
        remember_process(self._folder, self.name, self._process.pid, self._stop_signal)
        deadline = time.monotonic() + timeout_seconds
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                reason = f"{_reason_in(self.log)} (log: {self.log})"
                raise EmbeddedStoreError(f"Embedded {self.name} did not start: {reason}")
            time.sleep(_CHECK_SECONDS)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the server, by force when it ignores its stop signal. Harmless when it has ended already."""
        if self._process is not None:
            end_child(self._process, self._stop_signal)
            self._process = None
            forget_process(self._folder, self.name)


def end_child(
    process: "subprocess.Popen[bytes]", signum: signal.Signals, *, grace_seconds: float = _GRACE_SECONDS
) -> None:
    """Send a child its stop signal, then SIGQUIT, then SIGKILL, until it has ended."""
    for step, grace in ((signum, grace_seconds), (signal.SIGQUIT, _QUIT_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)


def pick_port(preferred: int | None = None) -> int:
    """The preferred port when it is free, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the servers set it too
            if port is not None:
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise EmbeddedStoreError(f"No free port on {HOST}")


def start_on_a_free_port(start: Callable[[int], None], preferred: int | None = None) -> None:
    """Call `start` with the preferred port when it is free, else with any free port.

    With another one if it was taken before the server had it: any connection that leaves this machine may do so.
    """
    for tried in range(1, _PORTS_TRIED + 1):
        try:
            start(pick_port(preferred))
            break
        except EmbeddedStoreError as error:
            if tried == _PORTS_TRIED or not any(words in str(error) for words in _PORT_IS_TAKEN):
                raise


def _reason_in(log: Path) -> str:
    """The last line of a server's log that names an error, else its last line."""
    lines = log.read_text(errors="replace").strip().splitlines()[-_LINES:] if log.exists() else []
    errors = [line for line in lines if any(mark in line for mark in ("FATAL", "PANIC", "rror"))]
    return (errors or lines or ["its log is empty"])[-1].strip()

"""Run `mobvibe` in a process of its own, with an environment that the test chooses."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# What any process needs to run. None of these is a setting of the bridge.
PLAIN = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


@dataclass(frozen=True)
class CommandResult:
    code: int
    out: str
    err: str

    def one_line(self) -> str:
        """The only line of standard error; a traceback or a flood fails the test."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


Run = Callable[..., CommandResult]  # arguments and variables of the environment


def mobvibe(*args: str, cwd: Path, **environment: str) -> CommandResult:
    result = subprocess.run(
        [sys.executable, "-m", "bridge", *args],
        cwd=cwd,
        env=PLAIN | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return CommandResult(result.returncode, result.stdout, result.stderr)


def mobvibe_on_a_terminal(*args: str, columns: int, cwd: Path, **environment: str) -> str:
    """The output of `mobvibe` on a terminal with this number of columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", *args], cwd=cwd, env=PLAIN | environment, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    assert process.wait(60) == 0, output
    return output.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the process has ended and closed its end
        return b""

"""The register of processes that a launcher started: after a crash, the next launcher ends those that still run."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from bridge.settings.running_stores import process_started

_FILE_NAME = "processes.json"
_CHECK_SECONDS = 0.02  # between looks whether one has ended: a person waits, and a look reads one file
_GRACE_SECONDS = 6.0  # honcho is the slowest to end: it kills its processes 5 s after its signal


def remember_process(folder: Path, name: str, pid: int, stop_signal: signal.Signals) -> None:
    register = _read(folder)
    register[name] = {"pid": pid, "started": process_started(pid), "stop_signal": int(stop_signal)}
    _write(folder, register)


def forget_process(folder: Path, name: str) -> None:
    register = _read(folder)
    if register.pop(name, None) is not None:
        _write(folder, register)


def end_leftovers(folder: Path) -> list[str]:
    """End the processes that a crashed launcher left running. Returns their names."""
    ended = []
    for name, entry in reversed(_read(folder).items()):
        pid, started = int(entry["pid"]), entry["started"]
        if started is None or process_started(pid) != started:
            continue
        ended.append(name)
        for signum in (int(entry["stop_signal"]), signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)
            deadline = time.monotonic() + _GRACE_SECONDS
            while process_started(pid) == started and time.monotonic() < deadline:
                time.sleep(_CHECK_SECONDS)
    _write(folder, {})
    return ended


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        register = json.loads((folder / _FILE_NAME).read_text())
    except (OSError, ValueError):
        return {}
    return register if isinstance(register, dict) else {}


def _write(folder: Path, register: dict[str, dict[str, Any]]) -> None:
    draft = folder / f"{_FILE_NAME}.new"
    draft.write_text(json.dumps(register))
    draft.replace(folder / _FILE_NAME)

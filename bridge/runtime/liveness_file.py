"""The files in MOBVIBE_DIR/liveness: each process keeps one, which shows a probe that the process is alive.

The modification time of a file is the latest time at which its process promised to renew it. It is on the monotonic
clock, which is the same for all processes of a machine and cannot be set. The text names the process. A probe imports
this module every few seconds, so it imports little.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bridge.addresses import host_port_and_name
from bridge.settings.running_stores import process_started

_FOLDER = "liveness"
_KEPT_SECONDS = 86_400.0  # then a file of another machine is removed: whether its process lives cannot be seen here


@dataclass(frozen=True, slots=True)
class Sign:
    """The content of a file: which process keeps it."""

    role: str  # bridge, worker
    pid: int
    started: str  # distinguishes the process from a later one with the same id
    database: str  # that the process works for: host, port and name
    stalled: str | None = None  # name of a stalled thread


@dataclass(frozen=True, slots=True)
class Found:
    """The file of a process that exists."""

    sign: Sign
    late_seconds: float  # negative while the next renewal is not due


def folder_of(mobvibe_dir: Path) -> Path:
    return mobvibe_dir / _FOLDER


def database_of(database_url: str) -> str:
    """The same text for all processes of one database. It is shown to people: it has no user and no password."""
    return host_port_and_name(database_url)


def own_sign(role: str, database_url: str, stalled: str | None = None) -> Sign:
    return Sign(role, os.getpid(), process_started(os.getpid()) or "", database_of(database_url), stalled)


def path_of(folder: Path, sign: Sign) -> Path:
    return folder / f"{sign.role}.{_machine()}.{sign.pid}"


def write(path: Path, sign: Sign, due: float) -> None:
    """Write the file, whole or not at all. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(asdict(sign)))
    renew(draft, due)
    draft.replace(path)


def renew(path: Path, due: float) -> None:
    """Set the file's time. Raises FileNotFoundError when the file was removed, or another OSError."""
    os.utime(path, (due, due))


def find(folder: Path, role: str) -> list[Found]:
    """The files of live processes of this machine. Raises OSError for a folder that cannot be read."""
    now, prefix = time.monotonic(), f"{role}.{_machine()}."
    found = []
    for path in folder.iterdir():
        if path.name.startswith(prefix):
            with suppress(FileNotFoundError, ValueError, TypeError):  # its process just ended; another version wrote it
                sign, late = Sign(**json.loads(path.read_text())), now - path.stat().st_mtime
                if process_started(sign.pid) == sign.started:
                    found.append(Found(sign, late))
    return found


def remove_leftovers(folder: Path) -> None:
    """Remove the files of processes that were killed before they could do it."""
    machine = _machine()
    for path in folder.iterdir():
        with suppress(OSError, ValueError):
            _, where, pid = path.name.removeprefix(".").rsplit(".", 2)
            is_here, age = where == machine, time.time() - path.stat().st_ctime
            if process_started(int(pid)) is None if is_here else age > _KEPT_SECONDS:
                path.unlink()


def _machine() -> str:
    """This boot and pid namespace: process ids and the monotonic clock can be compared inside one of these only."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return "here"

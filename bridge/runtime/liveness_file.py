"""The files in MOBVIBE_DIR/liveness: by its own, each process shows a probe that it is alive.

The time of a file is when its process promised the next sign at the latest, on the monotonic clock: it is the same for
all processes of a machine, and nobody can set it. The text says which process it is. A probe imports this every few
seconds, so it imports little.
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
_KEPT_SECONDS = 86_400.0  # of machines that are gone


@dataclass(frozen=True, slots=True)
class Sign:
    """What a process says of itself."""

    role: str  # bridge, worker
    pid: int
    started: str  # tells the process from a later one with the same id
    database: str  # whose process it is: host, port and name
    standing: str | None = None  # which of its threads stands still


@dataclass(frozen=True, slots=True)
class Found:
    """The sign of a process that is there."""

    sign: Sign
    late_seconds: float  # negative before its next sign is due


def folder_of(mobvibe_dir: Path) -> Path:
    return mobvibe_dir / _FOLDER


def database_of(database_url: str) -> str:
    """What two processes have in common that work for one database. It is shown, and holds no user or password."""
    return host_port_and_name(database_url)


def own_sign(role: str, database_url: str, standing: str | None = None) -> Sign:
    return Sign(role, os.getpid(), process_started(os.getpid()) or "", database_of(database_url), standing)


def path_of(folder: Path, sign: Sign) -> Path:
    return folder / f"{sign.role}.{_machine()}.{sign.pid}"


def write(path: Path, sign: Sign, due: float) -> None:
    """Put the file there, whole or not at all. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(asdict(sign)))
    renew(draft, due)
    draft.replace(path)


def renew(path: Path, due: float) -> None:
    """Raises FileNotFoundError when somebody has removed it, or another OSError."""
    os.utime(path, (due, due))


def find(folder: Path, role: str) -> list[Found]:
    """The signs of live processes of this machine. Raises OSError for a folder that cannot be read."""
    now, prefix = time.monotonic(), f"{role}.{_machine()}."
    found = []
    for path in folder.iterdir():
        if path.name.startswith(prefix):
            with suppress(FileNotFoundError, ValueError, TypeError):  # it ends just now; another version wrote it
                sign, late = Sign(**json.loads(path.read_text())), now - path.stat().st_mtime
                if process_started(sign.pid) == sign.started:
                    found.append(Found(sign, late))
    return found


def remove_leftovers(folder: Path) -> None:
    """Of processes that ended without a farewell."""
    machine = _machine()
    for path in folder.iterdir():
        with suppress(OSError, ValueError):
            _, where, pid = path.name.removeprefix(".").rsplit(".", 2)
            is_over = where == machine and process_started(int(pid)) is None
            if is_over or time.time() - path.stat().st_ctime > _KEPT_SECONDS:
                path.unlink()


def _machine() -> str:
    """The boot and the space of process ids: elsewhere such an id, and the monotonic clock, mean something else."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return "here"

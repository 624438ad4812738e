"""The file that a running `mobvibe up` keeps in its folder, so that other commands there find its stores."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "stores.json"


@dataclass(frozen=True, slots=True)
class RunningStores:
    """Addresses of the stores, and the launcher that runs them. Contains passwords."""

    launcher_pid: int
    launcher_started: str
    database_url: str
    redis_url: str
    supabase_jwt_secret: str
    health_check_port: int


def process_started(pid: int) -> str | None:
    """A text that distinguishes a process from a later one with the same id; None when no such process runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]  # start time, in ticks since boot
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:  # without /proc only the id can be checked
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"


def write_running_stores(folder: Path, stores: RunningStores) -> None:
    """Write the file, whole or not at all, readable by its owner only."""
    draft = folder / f"{FILE_NAME}.new"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(stores)))
    draft.replace(folder / FILE_NAME)


def find_running_stores(folder: Path) -> RunningStores | None:
    """The stores that a live launcher runs for this folder; None when there is no such launcher."""
    try:
        stores = RunningStores(**json.loads((folder / FILE_NAME).read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return stores if process_started(stores.launcher_pid) == stores.launcher_started else None


def remove_running_stores(folder: Path) -> None:
    (folder / FILE_NAME).unlink(missing_ok=True)

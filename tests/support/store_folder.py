"""Where the stores of a run keep their data: in memory where there is room.

Each test has a database, which is three hundred files: on a disk they cost ten times the work.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
NAME = "mobvibe-tests-"
ROOM_BYTES = 4_000_000_000  # six servers, and one of them with two million rows


def has_room() -> bool:
    return (
        os.access(MEMORY, os.W_OK)
        and min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) >= ROOM_BYTES
    )


@contextmanager
def store_folder(otherwise: Path) -> Iterator[Path]:
    """A folder of this process, gone afterwards; or `otherwise`, which pytest clears away."""
    if not has_room():
        yield otherwise
        return
    clear_away_the_dead()
    folder = Path(tempfile.mkdtemp(prefix=f"{NAME}{os.getpid()}-", dir=MEMORY))
    folder.chmod(0o755)  # Postgres may run as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def clear_away_the_dead() -> None:
    """What killed processes left there takes memory until somebody does."""
    for folder in MEMORY.glob(f"{NAME}*"):
        if not psutil.pid_exists(int(folder.name.split("-")[2])):
            shutil.rmtree(folder, ignore_errors=True)

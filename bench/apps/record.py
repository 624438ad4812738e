"""Records a measured job: its key and when it began, in memory shared with the measuring process.

It makes no system call and takes no lock, because those would cost more than a short job. It runs in every contestant's
own environment, so it uses the standard library only.
"""

import itertools
import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

RECORD = struct.Struct("<qd")
_ROOM = 200_000  # records a process
_open: dict[int, tuple[mmap.mmap, "itertools.count[int]"]] = {}


def record(key: int) -> None:
    """Write (key, epoch seconds) into this process's file in the folder BENCH_RECORDS."""
    memory, numbers = _open.get(os.getpid()) or _create(os.getpid())
    RECORD.pack_into(memory, next(numbers) * RECORD.size, key, time.time())


def _create(pid: int) -> tuple[mmap.mmap, "itertools.count[int]"]:
    draft = Path(os.environ["BENCH_RECORDS"]) / f"{pid}-{time.monotonic_ns()}.draft"
    draft.write_bytes(b"")
    os.truncate(draft, _ROOM * RECORD.size)
    with draft.open("r+b") as file:
        fresh = mmap.mmap(file.fileno(), 0), itertools.count()
    draft.rename(draft.with_suffix(".records"))  # two threads may create a file at once: both files are read
    return _open.setdefault(pid, fresh)


class Reader:
    """All records of a folder, read while they are written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, tuple[mmap.mmap, int]] = {}

    def count(self) -> int:
        """How many records there are. Cheap enough to be called all the time."""
        for path in self._folder.glob("*.records"):
            if path not in self._files:
                with path.open("r+b") as file:
                    self._files[path] = mmap.mmap(file.fileno(), 0), 0
        for path, (memory, found) in self._files.items():
            while found < _ROOM and RECORD.unpack_from(memory, found * RECORD.size)[1]:
                found += 1  # noqa: PLW2901
            self._files[path] = memory, found
        return sum(found for _, found in self._files.values())

    def read(self) -> Iterator[tuple[int, float]]:
        """Every record, in no particular order."""
        return ((key, when) for _, key, when in self.runs())

    def runs(self) -> Iterator[tuple[int, int, float]]:
        """The same, each with the id of the process that wrote it."""
        self.count()
        for path, (memory, found) in self._files.items():
            pid = int(path.name.partition("-")[0])
            for key, when in RECORD.iter_unpack(memory[: found * RECORD.size]):
                yield pid, key, when

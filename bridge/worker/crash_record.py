"""A small file that outlives its worker process: which worker that was, and which job ended it.

The process writes it through a memory map: that costs no system call, and what was written is there however the process
ends. `mobvibe worker`, which made the file, reads it then. A worker process without one writes to memory of its own.

The fixed part comes first: the worker, the job that ended the process, its process id, and the job of each thread.
Behind it Python's faulthandler writes down where a fatal error happened, and in which thread.
"""

import mmap
import os
import re
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bridge.settings.running_stores import process_started

VARIABLE = "MOBVIBE_CRASH_RECORD"  # in the environment of a worker process: the file's path
_HEADER = struct.Struct("<16s16sQ")
_THREAD = struct.Struct("<Q16s")
_THREADS_MOST = 1023  # further threads share one more place, which is nobody's
_SIZE = _HEADER.size + (_THREADS_MOST + 1) * _THREAD.size
_NOBODY = bytes(16)
_FATAL_ERROR = re.compile(rb"^Fatal Python error: (.{1,80})", re.MULTILINE)
_FATAL_THREAD = re.compile(rb"^Current thread 0x([0-9a-f]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Crash:
    """A worker process that ended without saying goodbye.

    `ended_by`: the job that ended it, where that is known; `error`: what faulthandler calls its fatal error, if any.
    """

    worker: UUID
    pid: int
    ended_by: UUID | None
    error: str | None


class CrashRecord:
    """The worker process's side. For any thread."""

    def __init__(self, path: str | None = None) -> None:
        """Raises OSError for a file that cannot be used."""
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC) if path is not None else -1
        self._map = mmap.mmap(self._file, _SIZE)
        self._places: dict[int, slice] = {}  # by thread: where its job is written
        self._lock = threading.Lock()
        self._ended_by: UUID | None = None

    @property
    def file(self) -> int | None:
        """To append to, where a file is there."""
        return None if self._file < 0 else self._file

    def set_worker(self, worker: UUID | None) -> None:
        """Under which id this process is registered; None once it has said goodbye."""
        _HEADER.pack_into(self._map, 0, worker.bytes if worker else _NOBODY, _NOBODY, os.getpid())

    def begin(self, job: UUID) -> None:
        """From here on this thread runs `job`."""
        self._map[self._place()] = job.bytes

    def end(self, job: UUID) -> None:
        self._map[self._place()] = _NOBODY
        if self._ended_by is not None and self._ended_by == job:  # it did not, after all
            self.set_ended_by(None)

    def set_ended_by(self, job: UUID | None) -> None:
        """This process ends now, and `job` is the reason."""
        self._ended_by = job
        self._map[16:32] = job.bytes if job else _NOBODY

    def _place(self) -> slice:
        thread = threading.get_ident()
        return self._places.get(thread) or self._new_place(thread)

    def _new_place(self, thread: int) -> slice:
        with self._lock:
            number = min(len(self._places), _THREADS_MOST)
            end = _HEADER.size + (number + 1) * _THREAD.size
            _THREAD.pack_into(self._map, end - _THREAD.size, thread if number < _THREADS_MOST else 0, _NOBODY)
            place = self._places[thread] = slice(end - len(_NOBODY), end)
            return place

    def detach(self) -> None:
        """In a copy of this process, made by a fork: what that does is not the end of this one."""
        self._map = mmap.mmap(-1, _SIZE)


def create(path: Path) -> None:
    """Make the file for a process that starts now; one of an earlier process, which may still run, is left to it.

    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.truncate(_SIZE)


def has_registered(path: Path) -> bool | None:
    """Whether the process is registered, or just about to be. None: unknown, as there is no file."""
    try:
        return path.read_bytes()[: len(_NOBODY)] != _NOBODY
    except OSError:
        return None


def has_crashed(path: Path) -> bool:
    """Whether the process has ended without saying goodbye. Its parent may take a second more to end, too."""
    with suppress(OSError, struct.error), path.open("rb") as file:
        worker, _, pid = _HEADER.unpack(file.read(_HEADER.size))
        return worker != _NOBODY and process_started(pid) is None
    return False


def take(path: Path) -> Crash | None:
    """Remove the file, and say what it says; None where its process said goodbye, never registered, or left no file."""
    with suppress(OSError, struct.error):
        data = path.read_bytes()
        path.unlink()
        worker, ended_by, pid = _HEADER.unpack_from(data)
        if worker == _NOBODY:
            return None
        job = ended_by if ended_by != _NOBODY else _job_of_fatal_error(data)
        error = _FATAL_ERROR.search(data[_SIZE:])
        return Crash(
            UUID(bytes=worker),
            pid,
            UUID(bytes=job) if job != _NOBODY else None,
            error and error[1].decode(errors="replace"),
        )
    return None


def _job_of_fatal_error(data: bytes) -> bytes:
    found = _FATAL_THREAD.search(data[_SIZE:])
    if found is not None:
        for thread, job in _THREAD.iter_unpack(data[_HEADER.size : _SIZE]):
            if thread == int(found[1], 16):
                return bytes(job)
    return _NOBODY

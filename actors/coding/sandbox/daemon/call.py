"""One command: its processes, its output in a file, and how it ended."""

import contextlib
import json
import os
import signal
from itertools import chain

from actors.coding.sandbox import warden
from actors.coding.sandbox.daemon.launch import prepare
from actors.coding.sandbox.daemon.protocol import EXIT, STDERR, STDOUT, Json, frame

STATUS = 0  # kind of the pipe in which the warden says how the command ended
CHUNK_BYTES = 64 * 1024  # a pipe holds as much
OUTPUT_BYTES = (
    8 * 1024 * 1024
)  # are kept of a command: the rest is read and dropped, so that no command fills the drive
STOPPED = "stopped"  # the reason of what is ended with the daemon: it does not count as ended, for nobody has seen it


class Call:
    """A command that runs or has ended. Its output is a file of frames (see protocol); `exit` is None while it runs."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.exit: Json | None = None
        self.pipes: dict[int, int] = {}
        self._size = 0
        self._pid = 0
        self._output = -1
        self._status = b""
        self._is_cut = False
        self._reason: str | None = None

    def load(self) -> bool:
        """Whether it ended with an earlier daemon there: then what it left is read from its folder."""
        try:
            with open(f"{self._folder}/exit", encoding="utf-8") as file:
                self.exit = json.load(file)
            self._size = os.path.getsize(f"{self._folder}/output")
        except OSError:
            return False
        return True

    def start(self, order: Json, stdin: bytes) -> None:
        """`order` is for the warden (its limits) and for `prepare` (what to run, and how)."""
        os.mkdir(self._folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._output = os.open(f"{self._folder}/output", flags, 0o600)
        ends: dict[int, tuple[int, int]] = {}
        try:
            for kind in (STATUS, STDOUT, STDERR):
                ends[kind] = os.pipe()
            self._pid = os.fork()
        except OSError:  # the account or the machine has none left: the daemon goes on, and tries many times
            for descriptor in (self._output, *chain(*ends.values())):
                os.close(descriptor)
            raise
        if self._pid == 0:
            _become_the_warden(order, stdin, {kind: write for kind, (_, write) in ends.items()})
        for kind, (read, write) in ends.items():
            os.close(write)
            os.set_blocking(read, False)
            self.pipes[read] = kind

    def take_output(self, pipe: int) -> bool:
        """Keep what is in a pipe. False: it has ended."""
        try:
            data = os.read(pipe, CHUNK_BYTES)
        except BlockingIOError:
            return True
        if self.pipes[pipe] == STATUS:
            self._status += data
        elif data:
            self._keep(self.pipes[pipe], data)
        return bool(data)

    def _keep(self, kind: int, data: bytes) -> None:
        kept = data[: max(0, OUTPUT_BYTES - self._size)]
        self._is_cut |= len(kept) < len(data)
        if kept:
            packed = frame(kind, kept)
            os.write(self._output, packed)
            self._size += len(packed)

    def close(self, pipe: int) -> None:
        """Close a pipe that has ended. The last one ends the call: the warden has ended, and all others before."""
        os.close(pipe)
        del self.pipes[pipe]
        if self.pipes:
            return
        os.waitpid(self._pid, 0)
        os.close(self._output)
        self.exit = self._how_it_ended()
        if self.exit["reason"] != STOPPED:
            with open(f"{self._folder}/exit.new", "w", encoding="utf-8") as file:
                json.dump(self.exit, file)
            os.rename(f"{self._folder}/exit.new", f"{self._folder}/exit")

    def _how_it_ended(self) -> Json:
        ended: Json = json.loads(self._status.splitlines()[-1]) if self._status else {"exit": None}
        if ended["exit"] is not None:
            return {"code": ended["exit"], "reason": None, "cut": self._is_cut}
        limit = str(ended.get("limit", "")).split(" ")[0]
        return {"code": None, "reason": limit or self._reason or "killed", "cut": self._is_cut}

    def end(self, reason: str) -> None:
        """End all its processes. The exit follows."""
        if self.exit is None:
            self._reason = self._reason or reason
            os.kill(self._pid, signal.SIGTERM)

    def read(self, offset: int) -> bytes:
        """The next frames or parts of frames. Empty when there are no more so far."""
        if offset >= self._size:
            return b""
        with open(f"{self._folder}/output", "rb") as file:
            file.seek(offset)
            return file.read(min(CHUNK_BYTES, self._size - offset))

    def exit_frame(self) -> bytes:
        return frame(EXIT, json.dumps(self.exit).encode())

    def remove(self) -> None:
        for name in ("output", "exit", "exit.new"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._folder}/{name}")
        os.rmdir(self._folder)


def _become_the_warden(order: Json, stdin: bytes, ends: dict[int, int]) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(ends[STDOUT], 1)
        os.dup2(ends[STDERR], 2)
        # Not the sockets: who waits at them must see the daemon's end. But the lock, which says that something runs.
        warden.close_all_but([order[name] for name in ("lock", "ports") if order[name] is not None] + [ends[STATUS]])
        os.umask(0o022)
        prepare(order, stdin)
        warden.guard(order, ends[STATUS])
    except OSError as error:
        os.write(2, f"sandbox: {error}\n".encode())
    finally:
        os._exit(1)

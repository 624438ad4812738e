"""How much room the files of a sandbox take. Counted by a process beside the daemon, which goes on meanwhile."""

import contextlib
import os
import time

from actors.coding.sandbox.warden import ends_with

PAUSE_SECONDS = 0.5  # at least, between two counts
SHARE = 10  # the pause is so many times as long as the count took: counting takes a tenth of a processor at most
FREE_MB = 512  # on the drive are left for all others, whatever the sandbox may use
ENTRY_BYTES = 4096  # an empty file takes room, too
OPEN = 32  # folders at a time while it counts: projects are less deep, and a process may open 256 at least
BLOCK_BYTES = 512  # the unit of st_blocks
MB = 1024 * 1024  # bytes


class Usage:
    def __init__(self, folders: list[str], limit_mb: int) -> None:
        self._folders = folders
        self._limit = limit_mb * MB
        self._before: int | None = None
        self._pid = 0
        self._began = self._next = 0.0

    def start(self) -> int | None:
        """Begin a count if it is time. Returns the pipe in which its result will be.

        Where no process is to be had, because a command forks without end, it is tried again after the pause.
        """
        if self._pid or time.monotonic() < self._next:
            return None
        self._began = time.monotonic()
        result, write = os.pipe()
        daemon = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(result)
            os.close(write)
            self._next = self._began + PAUSE_SECONDS
            return None
        if pid == 0:
            _count(self._folders, write, daemon)
        os.close(write)
        self._pid = pid
        return result

    def is_over(self, result: int) -> bool:
        """Take a result. True: too much, and growing. What shrinks may go on: it makes room."""
        counted = os.read(result, 32)
        os.close(result)
        os.waitpid(self._pid, 0)
        self._pid = 0
        self._next = time.monotonic() + max(PAUSE_SECONDS, SHARE * (time.monotonic() - self._began))
        if not counted:  # it was killed, as the kernel does where memory is short: the count before stays
            return False
        now = int(counted)
        before, self._before = self._before, now
        return before is not None and now > before and (now > self._limit or _is_full(self._folders[0]))


def _count(folders: list[str], write: int, daemon: int) -> None:
    try:
        # It has the daemon's lock, sockets and output: the next daemon, and who waits for the end, would wait for it.
        if ends_with(daemon):
            os.write(write, b"%d" % sum(map(bytes_of, folders)))
    finally:
        os._exit(0)


def bytes_of(folder: str) -> int:
    """What the files below a folder take of the drive. What vanishes meanwhile, or is closed to us, is left out.

    By descriptors: a link that takes the place of a folder meanwhile is not followed, and a path may be of any length.
    """
    total = 0
    way: list[_Folder] = []  # from the first to the one that is looked at
    try:
        total += _enter(way, folder)
        while way:
            here = way[-1]
            if here.is_open and here.below:
                with contextlib.suppress(OSError):
                    total += _enter(way, here.below.pop())
            else:
                _leave(way)
    except OSError:  # the first is not there
        pass
    finally:
        for here in way:
            here.close()
    return total


class _Folder:
    def __init__(self, name: str, above: int | None) -> None:
        # The first one is no command's, and in a container it is a link of ours to a volume.
        follow = 0 if above is None else os.O_NOFOLLOW
        self.descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | follow, dir_fd=above)
        self.is_open = True
        self.below: list[str] = []  # the folders in it that are still to be looked at
        self.stat = os.fstat(self.descriptor)

    def look(self) -> int:
        """Note its folders. Returns what its entries take."""
        total = 0
        with contextlib.suppress(OSError), os.scandir(self.descriptor) as entries:
            for entry in entries:
                try:
                    total += ENTRY_BYTES + entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
                except OSError:  # it has vanished: the others have not
                    continue
                if entry.is_dir(follow_symlinks=False):
                    self.below.append(entry.name)
        return total

    def close(self) -> None:
        if self.is_open:
            os.close(self.descriptor)
            self.is_open = False


def _enter(way: list[_Folder], name: str) -> int:
    """Go down into a folder, and look at it."""
    here = _Folder(name, way[-1].descriptor if way else None)
    if len(way) > OPEN:
        way[-1].close()
    way.append(here)
    return here.look()


def _leave(way: list[_Folder]) -> None:
    """Go up, by "..", where the folder above was closed. If that is another one now, it was moved, and stays closed."""
    here = way.pop()
    if here.is_open and way and not way[-1].is_open:
        with contextlib.suppress(OSError):
            above = _Folder("..", here.descriptor)
            if os.path.samestat(above.stat, way[-1].stat):
                above.below = way[-1].below
                way[-1] = above
            else:
                above.close()
    here.close()


def _is_full(folder: str) -> bool:
    drive = os.statvfs(folder)
    return drive.f_bavail * drive.f_frsize < FREE_MB * MB

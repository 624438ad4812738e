"""Files of the workspace, for the worker. No path leads out of it, whatever links a command has made meanwhile.

The kernel resolves each path beneath the folder (openat2). It refuses `..` and links that lead out; hard links cannot,
because the workspace is a mount of its own for the commands.
"""

import ctypes
import errno
import os
import stat
import struct

from actors.coding.sandbox.daemon.protocol import BODY_BYTES

OPENAT2 = 437  # the number of the system call, on every machine
RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS = 0x08, 0x02  # from <linux/openat2.h>
TRIES = 100  # when folders are renamed meanwhile, anywhere on the machine, a path with `..` is not resolved
LIBC = ctypes.CDLL(None, use_errno=True)


class Files:
    def __init__(self, folder: str) -> None:
        self._root = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self._place = os.path.realpath(folder)

    def read(self, path: str, most: int) -> bytes:
        """Raises OSError; PermissionError also for what is no file, such as a pipe, without waiting for it."""
        descriptor = self._open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            _check_is_file(os.fstat(descriptor).st_mode)
            return file.read(min(most, BODY_BYTES))

    def write(self, path: str, data: bytes) -> None:
        """Replace a file at once, with the folders above it. A link is followed to the file that it stands for."""
        folder, name, mode = self._target(path)
        new = f".{os.urandom(8).hex()}.new"
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    os.fchmod(descriptor, mode)
                    file.write(data)
                os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                os.unlink(new, dir_fd=folder)
                raise
        finally:
            os.close(folder)

    def _target(self, path: str) -> tuple[int, str, int]:
        """The folder to write in, open, the name there, and the permissions."""
        mode = 0o644
        try:
            there = self._open(path, os.O_PATH)
        except FileNotFoundError:
            pass
        else:
            mode = stat.S_IMODE(os.fstat(there).st_mode)
            is_folder = stat.S_ISDIR(os.fstat(there).st_mode)
            path = os.path.relpath(os.readlink(f"/proc/self/fd/{there}"), self._place)
            os.close(there)
            if is_folder:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        above, name = os.path.split(path)
        if name in {"", ".", ".."}:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return self._folder(above), name, mode

    def _folder(self, path: str) -> int:
        """A folder of the workspace, made if it is not there."""
        done, descriptor = "", self._open(".", os.O_PATH | os.O_DIRECTORY)
        for name in path.split("/"):
            above, done = descriptor, os.path.join(done, name)
            try:
                descriptor = self._open(done or ".", os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                os.mkdir(name, 0o755, dir_fd=above)
                descriptor = self._open(done, os.O_PATH | os.O_DIRECTORY)
            finally:
                os.close(above)
        return descriptor

    def _open(self, path: str, flags: int) -> int:
        how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
        for _ in range(TRIES):
            descriptor = int(LIBC.syscall(OPENAT2, self._root, os.fsencode(path), how, len(how)))
            if descriptor >= 0:
                return descriptor
            if ctypes.get_errno() != errno.EAGAIN:
                break
        raise _error(ctypes.get_errno(), path)


def _check_is_file(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise PermissionError(errno.EPERM, "it is not a file")


def _error(code: int, path: str) -> OSError:
    if code in {errno.EXDEV, errno.ELOOP}:
        return PermissionError(errno.EPERM, "it leads out of the workspace", path)
    if code == errno.ENXIO:  # a socket
        return PermissionError(errno.EPERM, "it is not a file", path)
    return OSError(code, os.strerror(code), path)

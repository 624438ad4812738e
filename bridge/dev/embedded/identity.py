"""The user that the embedded Postgres runs as. It refuses to run as root, and root's folders are closed to others.

For an ordinary user it runs as that user. For root it runs in a user namespace in which root has another number:
Postgres does not see root, the files still belong to root, and no permission changes. Where the kernel or a container
forbids that, it runs as the user `nobody`, if `nobody` can enter the folders.
"""

import ctypes
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import EmbeddedStoreError

_CLONE_NEWUSER = 0x10000000  # from <linux/sched.h>


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to run Postgres as. A child process calls `in_child` between fork and exec to become that user."""

    in_child: Callable[[], None]
    owner: int | None = None

    def owns(self, folder: Path) -> None:
        """Make this user the owner of a folder and everything in it."""
        if self.owner is not None:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, self.owner, self.owner, follow_symlinks=False)


def find_identity(data: Path, programs: Path) -> Identity:
    """The user that can run Postgres on `data`. Raises EmbeddedStoreError, which says what to do, when none can."""
    if os.geteuid() != 0:
        return Identity(lambda: None)
    nobody = pwd.getpwnam("nobody").pw_uid
    namespace = _enter_namespace(nobody)
    if namespace is not None and _works(namespace):
        return Identity(namespace)
    for path in (data, programs):
        closed = _closed_to_others(path)
        if closed is not None:
            raise EmbeddedStoreError(
                f"Postgres refuses to run as root, and {closed} is closed to other users. "
                "Run as an ordinary user, move the project elsewhere (/opt, say), or set DATABASE_URL and REDIS_URL."
            )
    return Identity(_become(nobody), nobody)


def _enter_namespace(number: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def in_child() -> None:
        if libc.unshare(_CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"{number} 0 1"), ("gid_map", f"{number} 0 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 -- between fork and exec run as little code as possible
                file.write(text)

    return in_child


def _become(user: int) -> Callable[[], None]:
    def in_child() -> None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)

    return in_child


def _works(in_child: Callable[[], None]) -> bool:
    program: Sequence[str] = [shutil.which("true") or "/bin/true"]
    try:
        return subprocess.run(program, preexec_fn=in_child, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _closed_to_others(path: Path) -> Path | None:
    """The first folder above `path` that other users cannot enter; None when they can enter all."""
    for folder in reversed(path.resolve().parents):
        if folder.exists() and not folder.stat().st_mode & 0o001:
            return folder
    return None

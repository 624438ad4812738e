"""As whom Postgres runs. It refuses root, and root's folders are closed to everybody else.

An ordinary user runs it as himself. Root runs it in a user namespace where the same user has another number:
Postgres sees no root, the files stay root's, and no permission of any folder changes. Where the kernel or a
container forbids that, it runs as `nobody`, if `nobody` can get to the folders at all.
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

_CLONE_NEWUSER = 0x10000000


@dataclass(frozen=True, slots=True)
class Identity:
    """`in_child` is what a child does between fork and exec to take it on; `owns` hands a folder over to it."""

    in_child: Callable[[], None]
    owner: int | None = None

    def owns(self, folder: Path) -> None:
        if self.owner is not None:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, self.owner, self.owner, follow_symlinks=False)


def find_identity(data: Path, programs: Path) -> Identity:
    """How Postgres can run on `data` from here. Raises EmbeddedStoreError, saying what to do, when it cannot."""
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
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 -- between fork and exec: as little as can be
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
    """The first folder on the way to `path` that lets no stranger through; None when all do."""
    for folder in reversed(path.resolve().parents):
        if folder.exists() and not folder.stat().st_mode & 0o001:
            return folder
    return None

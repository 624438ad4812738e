"""The folders of the sandboxes of this machine: one for each session, with a number that only rises.

`fence` (the latest attempt), `etc` (files for /etc inside), `workspace` and `home` (the commands'), `run` (the daemon's
socket, lock and the output of calls, which no command can reach).
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from actors.coding.sandbox.base import CallRefusedError, SandboxError

USERS = range(61184, 65520)  # systemd takes accounts for its services from these: nobody's, wherever we run
LOCK_SECONDS = 15.0  # for another worker to obtain, stop or destroy the same sandbox: it waits for 6 at most
LOOK_SECONDS = 0.01  # between two tries to get the lock
ETC = {
    "passwd": "agent:x:1000:1000::/home/agent:/bin/sh\nroot:x:0:0::/:/usr/sbin/nologin\n",
    "group": "agent:x:1000:\nroot:x:0:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def account_of(session_id: UUID) -> int:
    """The account that the commands of a session run as, where it can be chosen."""
    return USERS[session_id.int % len(USERS)]


class SessionFolder:
    def __init__(self, workspaces: Path, session_id: UUID) -> None:
        self.path = workspaces / str(session_id)
        # Root's sandboxes run as an account of their own each: one more wall between two sessions.
        self.user = account_of(session_id) if os.geteuid() == 0 else None

    @property
    def exists(self) -> bool:
        return (self.path / "fence").exists()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time obtains, stops or destroys. Raises SandboxError."""
        deadline = time.monotonic() + LOCK_SECONDS
        while (lock := self._try_to_lock()) is None:
            if time.monotonic() > deadline:
                raise SandboxError(f"another worker has held {self.path} for {LOCK_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)
        try:
            yield
        finally:
            os.close(lock)

    def _try_to_lock(self) -> int | None:
        self.path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), (self.path / "lock").stat()):  # not one that was just destroyed
                return lock
        os.close(lock)
        return None

    def make(self) -> None:
        """Make what is not there. The folder itself stays the worker's: what runs inside owns only what it needs."""
        self.path.chmod(0o755 if self.user else 0o700)  # the folder above is closed to other accounts
        for name in ("workspace", "home", "run"):
            folder = self.path / name
            folder.mkdir(mode=0o700, exist_ok=True)
            if self.user is not None:
                os.chown(folder, self.user, self.user, follow_symlinks=False)
        etc = self.path / "etc"
        etc.mkdir(exist_ok=True)
        for name, text in ETC.items():
            if not (etc / name).exists():
                (etc / name).write_text(text)
                (etc / name).chmod(0o644)

    @property
    def fence(self) -> int:
        """The latest attempt, 0 when there was none."""
        try:
            return int((self.path / "fence").read_text())
        except FileNotFoundError:
            return 0

    def check(self, fence: int) -> None:
        """Raises CallRefusedError when a later attempt was there."""
        latest = self.fence
        if fence < latest:
            raise CallRefusedError(f"the sandbox belongs to attempt {latest}, this is attempt {fence}")

    def raise_fence(self, fence: int) -> None:
        """Attempts before this one start nothing any more from now on. Raises CallRefusedError."""
        self.check(fence)
        new = self.path / "fence.new"
        new.write_text(str(fence))
        new.chmod(0o644)
        new.rename(self.path / "fence")

    @property
    def used_at(self) -> datetime:
        calls = self.path / "run" / "calls"
        return datetime.fromtimestamp((calls if calls.exists() else self.path / "fence").stat().st_mtime, UTC)

    @property
    def is_in_use(self) -> bool:
        """Whether a daemon is there, or something that it started."""
        try:
            lock = os.open(self.path / "run" / "lock", os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def remove(self) -> None:
        """Remove all, also read-only folders, as package managers make some. Call it locked, with nothing running."""
        gone = self.path.with_name(f".gone-{uuid4()}")
        self.path.rename(gone)
        _remove(gone)


def _remove(gone: Path) -> None:
    """Each folder in it comes up to the top before it is emptied: commands make some that are thousands deep.

    `shutil.rmtree` ends there, because of its recursion or the length of the path.
    """
    top = os.open(gone, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        waiting = _empty(top, top)
        while waiting:
            name = waiting.pop()
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                waiting += _empty(folder, top)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    gone.rmdir()


def _empty(folder: int, top: int) -> list[str]:
    """Remove its files. Returns the names that its folders have at the top."""
    moved = []
    with os.scandir(folder) as entries:
        found = list(entries)  # before anything changes
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.name, 0o700, dir_fd=folder)
                moved.append(uuid4().hex)
                os.rename(entry.name, moved[-1], src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return moved

"""Sandboxes on this machine: bubblewrap around each command, a daemon for each session that has a turn.

For development on a machine without bubblewrap, the same without it: the commands have the limits, and no walls.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from actors.coding.sandbox import bubblewrap, seccomp
from actors.coding.sandbox.base import SandboxError, SandboxInfo, Spec
from actors.coding.sandbox.client import DaemonSandbox
from actors.coding.sandbox.daemon import network
from actors.coding.sandbox.folders import SessionFolder

DAEMON = Path(__file__).parent / "daemon" / "__main__.py"
END_SECONDS = 8.0  # for a daemon: it gives its commands 6
LOOK_SECONDS = 0.01  # between two looks whether it has ended

Json = dict[str, object]


class LocalProvider:
    def __init__(self, workspaces: Path, *, is_confined: bool = True, alone: Json | None = None) -> None:
        """`alone`: how commands run when not confined (see daemon/launch.py), else as in development."""
        self.name = "local" if is_confined else "unconfined"
        self._alone = alone or _UNCONFINED
        self._workspaces = workspaces.resolve()
        self._is_confined = is_confined
        self._daemons: dict[UUID, subprocess.Popen[bytes]] = {}

    def check(self) -> None:
        """Raises SandboxSetupError: bubblewrap is missing, or the kernel refuses it."""
        if self._is_confined:
            bubblewrap.check(self._folder(UUID(int=0)).user)

    def obtain(self, session_id: UUID, fence: int, spec: Spec) -> DaemonSandbox:
        """See SandboxProvider.obtain. Takes 40 ms; longer while the commands of an earlier attempt end."""
        folder = self._folder(session_id)
        self._workspaces.mkdir(mode=0o700, parents=True, exist_ok=True)
        sandbox = self._sandbox(folder, session_id, fence)
        with folder.locked():
            folder.make()
            folder.raise_fence(fence)
            try:
                sandbox.hello()
            except SandboxError:  # there is none, or the one of an earlier attempt, which ends now
                self._start(folder, session_id, fence, spec)
        return sandbox

    def connect(self, session_id: UUID, fence: int) -> socket.socket:
        """A connection to the daemon of an attempt. Raises CallRefusedError after a later one, OSError without one."""
        folder = self._folder(session_id)
        folder.check(fence)
        return _connect(folder)

    def list(self) -> Sequence[SandboxInfo]:
        return [_info(session_id, folder) for session_id, folder in self._folders() if folder.exists]

    def stop(self, session_id: UUID) -> None:
        folder = self._folder(session_id)
        if folder.exists:
            with folder.locked():
                self._stop(folder, session_id)

    def destroy(self, session_id: UUID) -> None:
        folder = self._folder(session_id)
        if folder.path.exists():
            with folder.locked():
                self._stop(folder, session_id)
                folder.remove()

    def _folder(self, session_id: UUID) -> SessionFolder:
        return SessionFolder(self._workspaces, session_id)

    def _folders(self) -> Iterator[tuple[UUID, SessionFolder]]:
        for path in sorted(self._workspaces.glob("*-*-*-*-*")):
            with contextlib.suppress(ValueError):
                session_id = UUID(path.name)
                yield session_id, self._folder(session_id)

    def _sandbox(self, folder: SessionFolder, session_id: UUID, fence: int) -> DaemonSandbox:
        sandbox = DaemonSandbox(
            fence, lambda: _connect(folder), lambda: folder.check(fence), lambda: self._leave(sandbox, session_id)
        )
        return sandbox

    def _start(self, folder: SessionFolder, session_id: UUID, fence: int, spec: Spec) -> None:
        """Start a daemon, and wait until it is ready: the one before, and all that it has started, has ended then."""
        order = _order(folder, fence, spec) | (_confined(spec) if self._is_confined else self._alone)
        try:
            daemon = subprocess.Popen(
                [sys.executable, "-I", "-S", *_compiled(), DAEMON],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd="/",
                env={},
                start_new_session=True,
            )
        except OSError as error:  # the account or the machine has no process, memory or descriptor left
            raise SandboxError(f"the sandbox does not start: {error.strerror or error}") from error
        assert daemon.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and says nothing
            daemon.stdin.write(json.dumps(order).encode() + b"\n")
            daemon.stdin.flush()
        said = _line(daemon)
        if said != "ready":
            daemon.kill()
            daemon.communicate()
            raise SandboxError(f"the sandbox does not start: {said or 'no answer'}")
        before, self._daemons[session_id] = self._daemons.get(session_id), daemon
        _reap(before)

    def _leave(self, sandbox: DaemonSandbox, session_id: UUID) -> None:
        """End the daemon, if it is still the one of this attempt."""
        with contextlib.suppress(SandboxError):
            sandbox.stop()
            _reap(self._daemons.pop(session_id, None))

    def _stop(self, folder: SessionFolder, session_id: UUID) -> None:
        with contextlib.suppress(SandboxError):
            self._sandbox(folder, session_id, folder.fence).stop()
        deadline = time.monotonic() + END_SECONDS
        while folder.is_in_use:
            if time.monotonic() > deadline:
                raise SandboxError(f"what runs in {folder.path} has not ended for {END_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)
        _reap(self._daemons.pop(session_id, None))


def _compiled() -> list[str]:
    """Options with which it finds compiled modules where we have ours, if not beside their sources."""
    return ["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []


def _order(folder: SessionFolder, fence: int, spec: Spec) -> Json:
    return {
        "worker": os.getpid(),
        "fence": fence,
        "folder": str(folder.path),
        "user": folder.user,
        "memory_mb": spec.memory_mb,
        "processes": spec.processes,
        "file_mb": spec.file_mb,
        "disk_mb": spec.disk_mb,
    }


def _confined(spec: Spec) -> Json:
    return {
        "program": bubblewrap.path(),
        "bubblewrap": bubblewrap.arguments(spec),
        "seccomp": seccomp.program().hex(),
        "hosts": list(spec.allowed_hosts),
        "variables": {**bubblewrap.VARIABLES, **(network.variables() if spec.allowed_hosts else {})},
    }


_UNCONFINED: Json = {
    "program": None,
    "hosts": [],
    "variables": {name: value for name, value in bubblewrap.VARIABLES.items() if name != "HOME"},  # a folder of ours
}


def _line(daemon: subprocess.Popen[bytes]) -> str:
    """The first line that it says, or an empty text when it says none in time."""
    assert daemon.stdout is not None
    if not select.select([daemon.stdout], [], [], END_SECONDS)[0]:
        return ""
    return daemon.stdout.readline().decode().strip()


def _connect(folder: SessionFolder) -> socket.socket:
    """By the folder's descriptor: the path of a socket may have 107 bytes, and that of a folder may have more."""
    run = os.open(folder.path / "run", os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"/proc/self/fd/{run}/socket")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(run)
    return connection


def _reap(daemon: subprocess.Popen[bytes] | None) -> None:
    """Wait for a daemon that ends, and close our ends of its pipes."""
    if daemon is None:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        daemon.communicate(timeout=END_SECONDS)


def _info(session_id: UUID, folder: SessionFolder) -> SandboxInfo:
    return SandboxInfo(session_id, str(folder.path), folder.fence, folder.used_at, folder.is_in_use)

"""What a sandbox can do for a session, whoever provides it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable
from uuid import UUID

OnOutput = Callable[[str, bytes], None]
"""Called with `stdout` or `stderr` and what was written, in order, in the thread that waits for the command."""


class SandboxError(Exception):
    """The sandbox cannot be had, or is gone. Trying again may help: the turn is tried again."""


class SandboxSetupError(SandboxError):
    """This machine or account cannot provide a sandbox as it is set up: one line says what to change."""


class CallRefusedError(SandboxError):
    """The sandbox belongs to a later attempt: this one must write and run nothing any more."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a sandbox is made with. `memory_mb` and `processes` count for all processes of a command together."""

    memory_mb: int
    processes: int
    file_mb: int
    """For each file."""
    disk_mb: int = 2048  # a project with its packages takes less
    """For all files of the sandbox together."""
    allowed_hosts: Sequence[str] = ()
    """Host names that it may reach by HTTP and HTTPS. Without one it has no network."""
    image: str | None = None
    """For providers that start from an image."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended. `code` is None when it was ended: `reason` says by what (`time`, `memory`, …)."""

    code: int | None
    reason: str | None = None
    output_cut: bool = False


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """A sandbox that exists, as its provider lists it. `used_at` is the last time that something ran in it."""

    session_id: UUID
    name: str
    fence: int
    used_at: datetime
    is_running: bool
    """Something runs there, or costs."""
    details: Mapping[str, str] = field(default_factory=dict)


class Sandbox(Protocol):
    """The sandbox of one session. Paths are relative to its workspace; one that leads out of it is refused."""

    def run(
        self,
        call_id: str,
        argv: Sequence[str],
        on_output: OnOutput,
        *,
        seconds: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Exit:
        """Run a command in the workspace, or wait for the end of the one that this call id has started already.

        `on_output` gets its output from the beginning, also when it was started by an earlier attempt. A call id that
        has ended gives its output and exit again. Raises CallRefusedError, SandboxError.
        """

    def has(self, call_id: str) -> bool:
        """Whether a command of this call id was started here: it can be attached to."""

    def end(self, call_id: str) -> None:
        """End the command with all that it has started. Thread-safe: it is how a cancelled job ends its command."""

    def read(self, path: str, *, most: int) -> bytes:
        """The first `most` bytes of a file.

        Raises FileNotFoundError, IsADirectoryError, PermissionError (it leads out, or is no file), or another OSError.
        """

    def write(self, path: str, data: bytes) -> None:
        """Replace or create a file, with its folders, at once: nobody reads half of it. Raises OSError, as `read`."""

    def close(self) -> None:
        """Leave it: nothing of this attempt runs there any more. The files stay."""


@runtime_checkable
class ExposesPorts(Protocol):
    """What a sandbox can do beside, if its provider can."""

    def expose(self, port: int) -> str:
        """The address under which people reach a port of the sandbox, while something listens there."""


class SandboxProvider(Protocol):
    name: str

    def check(self) -> None:
        """Raises SandboxSetupError when no sandbox can be had here."""

    def obtain(self, session_id: UUID, fence: int, spec: Spec) -> Sandbox:
        """The sandbox of a session, made if there is none: the same one each time, with the same files.

        From then on it refuses attempts with a lower fence, and their commands are ended.
        """

    def list(self) -> Sequence[SandboxInfo]:
        """All sandboxes of this installation."""

    def stop(self, session_id: UUID) -> None:
        """End all that runs in it, and what costs. Its files may stay. None there: nothing happens."""

    def destroy(self, session_id: UUID) -> None:
        """Remove it with its files. None there: nothing happens."""

"""Real sandboxes for tests, where the machine can have them."""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from actors.coding.sandbox.base import Exit, Sandbox, SandboxSetupError, Spec
from actors.coding.sandbox.local import LocalProvider

SPEC = Spec(memory_mb=512, processes=64, file_mb=10, disk_mb=64)


def local_provider(folder: Path) -> LocalProvider:
    """Skips the test where there is no bubblewrap, unless SANDBOX_TESTS=required."""
    provider = LocalProvider(folder)
    try:
        provider.check()
    except SandboxSetupError as error:
        if os.environ.get("SANDBOX_TESTS") == "required":
            raise
        pytest.skip(str(error))
    return provider


class Ran:
    """What a command wrote, and how it ended."""

    def __init__(self) -> None:
        self.written: list[tuple[str, bytes]] = []
        self.exit: Exit | None = None

    def __call__(self, stream: str, data: bytes) -> None:
        self.written.append((stream, data))

    def text(self, stream: str = "stdout") -> str:
        return b"".join(data for name, data in self.written if name == stream).decode(errors="replace")


def run(
    sandbox: Sandbox, command: str | Sequence[str], *, call_id: str | None = None, seconds: float = 20, **more: object
) -> Ran:
    """Run a shell script, or a program with its arguments. Returns when it has ended."""
    ran = Ran()
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    ran.exit = sandbox.run(call_id or str(uuid.uuid4()), argv, ran, seconds=seconds, **more)  # type: ignore[arg-type]
    return ran


def marked_sleep() -> str:
    """A command that runs for hours and that `alive` can find."""
    return f"sleep 9{uuid.uuid4().int % 10**9:09}"


def alive(command: str) -> int:
    """How many processes run this command, on the whole machine. One that has ended but was not waited for is none."""
    found = 0
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and process.info["cmdline"] == command.split():
            found += 1
    return found

"""A sandbox that isolates nothing: commands run in a folder of this machine. For tests of what uses a sandbox."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from actors.coding.sandbox.base import Exit, OnOutput


class PlainSandbox:
    """`commands` are those that ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[Sequence[str]] = []

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
        self.commands.append(argv)
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            check=False,
            cwd=self.folder,
            timeout=seconds,
            env={"PATH": os.environ["PATH"], **(environment or {})},
        )
        on_output("stdout", done.stdout)
        on_output("stderr", done.stderr)
        return Exit(done.returncode)

    def has(self, call_id: str) -> bool:
        return False

    def end(self, call_id: str) -> None:
        """All have ended."""

    def read(self, path: str, *, most: int) -> bytes:
        with (self.folder / path).open("rb") as file:
            return file.read(most)

    def write(self, path: str, data: bytes) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)

    def close(self) -> None:
        """Nothing is held."""

"""A sandbox for tests of the agent: commands run in a folder, without any isolation."""

import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer

from actors.coding.sandbox.base import Exit, OnOutput
from tests.support.kills import Kills


class FolderSandbox:
    """`ran`: how often each call id has started a command. `forget()`: the sandbox was lost, its files were not."""

    def __init__(self, folder: Path, kills: Kills | None = None) -> None:
        self.folder = folder
        self.kills = kills or Kills()
        self.ran: Counter[str] = Counter()
        self._ended: dict[str, tuple[bytes, Exit]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

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
        if call_id not in self._ended:
            self.kills.point("before a command")
            self.ran[call_id] += 1
            self._ended[call_id] = self._run(call_id, argv, seconds)
            self.kills.point("after a command")
        output, ended = self._ended[call_id]
        if output:
            on_output("stderr" if ended.code else "stdout", output)
        return ended

    def _run(self, call_id: str, argv: Sequence[str], seconds: float) -> tuple[bytes, Exit]:
        process = subprocess.Popen(
            argv, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._running[call_id] = process
        timer = Timer(seconds, self.end, (call_id,))
        timer.start()
        output, _ = process.communicate()
        is_in_time = not timer.finished.is_set()
        timer.cancel()
        del self._running[call_id]
        if process.returncode >= 0:
            return output, Exit(process.returncode)
        return output, Exit(None, "ended" if is_in_time else "time")

    def has(self, call_id: str) -> bool:
        return call_id in self._ended

    def end(self, call_id: str) -> None:
        if process := self._running.get(call_id):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def read(self, path: str, *, most: int) -> bytes:
        with self._inside(path).open("rb") as file:
            return file.read(most)

    def write(self, path: str, data: bytes) -> None:
        target = self._inside(path)
        self.kills.point("before a write")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self.kills.point("after a write")

    def close(self) -> None:
        pass

    def forget(self) -> None:
        self._ended.clear()

    def _inside(self, path: str) -> Path:
        target = (self.folder / path).resolve()
        if not target.is_relative_to(self.folder.resolve()):
            raise PermissionError(f"{path} is outside of the workspace")
        return target

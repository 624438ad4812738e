"""The process of Claude Code as the SDK's transport: an environment of its own, killed when the turn is over."""

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

_LONGEST_LINE = 64 * 1024 * 1024  # bytes: more than any message of the model
_KEPT_OF_ERRORS = 300  # characters, from the end


class EndedError(Exception):
    """Its exit code, and the end of what it wrote to its standard error."""


class ClaudeCodeProcess:
    """Has the methods of the SDK's Transport.

    The SDK's own one gives it all of the worker's environment, and waits for seconds until it has ended.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
        self._command, self._environment, self._folder = command, environment, folder
        self._process: Process | None = None
        self._errors: asyncio.Task[None] | None = None
        self._said = ""

    async def connect(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=self._folder, env=self._environment,
            limit=_LONGEST_LINE, start_new_session=True,
        )  # fmt: skip
        self._errors = asyncio.create_task(self._read_errors(self._process))

    async def write(self, data: str) -> None:
        """Raises EndedError when it has ended by itself."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data.encode())
            await self._process.stdin.drain()
        except ConnectionError:
            raise await self._ended(self._process) from None

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """Raises EndedError when it has ended by itself: the SDK would wait for its answers."""
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b"{"):
                yield json.loads(line)
        raise await self._ended(self._process)

    async def end_input(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def is_ready(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def close(self) -> None:
        if self._process is not None:
            await self._end(self._process)
            await self.end_input()

    async def _ended(self, process: Process) -> EndedError:
        code = await self._end(process)
        return EndedError(" ".join(f"exit code {code} {self._said}".split()))

    async def _end(self, process: Process) -> int:
        """Its exit code. What it may have started ends with it: it would hold the pipes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = await process.wait()
        if self._errors is not None:
            await self._errors
        return code

    async def _read_errors(self, process: Process) -> None:
        assert process.stderr is not None
        while part := await process.stderr.read(4096):
            self._said = (self._said + part.decode(errors="replace"))[-_KEPT_OF_ERRORS:]

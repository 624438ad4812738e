"""Runs shell scripts for a job in a warden process, and passes their output on while they run."""

import codecs
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

WARDEN = Path(__file__).with_name("warden.py")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BUFFER_BYTES = 1024  # of output are enough for an event: fewer events for a script that writes much
BUFFER_SECONDS = 0.1  # until output is passed on: a person who watches sees no delay
_END_SECONDS = 5.0  # as long as the warden itself tries (END_SECONDS there)
_POLL_SECONDS = 0.05  # the longest time in which an interrupt cannot reach this thread
_OUTPUT_BYTES = 1024 * 1024  # of output that a job may store: the rest is dropped, so that no script fills the database


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for all processes of a job together, except `file_mb`, which limits each single file."""

    seconds: float
    memory_mb: int
    processes: int
    file_mb: int


@dataclass(slots=True)
class Results:
    """Exit codes in the order of the scripts. `broken_limit` names the limit that ended the last script."""

    exit_codes: list[int | None] = field(default_factory=list)
    broken_limit: str | None = None
    output_cut: bool = False


class _Stream:
    """Buffers one of the two outputs: takes bytes, gives text in pieces of 1 kB or of 100 ms."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._since = 0.0

    def add(self, data: bytes) -> None:
        if not self._text:
            self._since = time.monotonic()
        self._text += self._decoder.decode(data)

    def is_ripe(self) -> bool:
        waited = time.monotonic() - self._since
        return bool(self._text) and (len(self._text) >= BUFFER_BYTES or waited >= BUFFER_SECONDS)

    def take(self) -> str:
        text, self._text = self._text, ""
        return text


class ShellRun:
    """Runs the scripts of one job in its workspace. Leaving the `with` ends every process that they started."""

    def __init__(
        self,
        scripts: Sequence[str],
        workspace: Path,
        limits: Limits,
        variables: Mapping[str, str],
        on_output: Callable[[int, str, str], None],
    ) -> None:
        self._scripts = scripts
        self._limits = limits
        self._on_output = on_output
        self._streams = {"stdout": _Stream("stdout"), "stderr": _Stream("stderr")}
        self._left = _OUTPUT_BYTES
        self.results = Results()
        status_read, status_write = os.pipe()
        try:
            self._warden = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WARDEN), str(status_write)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(status_write,),
                cwd=workspace,
                env={"PATH": PATH, "HOME": str(workspace), "LANG": "C.UTF-8", "TERM": "dumb", **variables},
                start_new_session=True,
            )
        finally:
            os.close(status_write)
        self._status = os.fdopen(status_read, "rb", buffering=0)
        self._unread = b""  # the beginning of a status line whose end has not come yet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def wait(self) -> Results:
        """Pass output on until the scripts are done. An interrupt reaches this thread within 50 ms."""
        order = {"worker": os.getpid(), "scripts": list(self._scripts), **asdict(self._limits)}
        self._tell(json.dumps(order))
        with selectors.DefaultSelector() as selector:
            for name, pipe in (("stdout", self._warden.stdout), ("stderr", self._warden.stderr), ("", self._status)):
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, name)
            # Wait for the end of the status pipe only: a background process may keep the outputs open.
            while self._status in {key.fileobj for key in selector.get_map().values()}:
                for key, _ in sorted(selector.select(_POLL_SECONDS), key=lambda event: event[0].data == ""):
                    self._read(selector, key)
                self._pass_on(lambda stream: stream.is_ripe())
        self._pass_on(lambda _: True)
        return self.results

    def _tell(self, line: str) -> None:
        assert self._warden.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._warden.stdin.write(line.encode() + b"\n")
            self._warden.stdin.flush()

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        try:
            data = os.read(key.fd, 65536)
        except BlockingIOError:
            return
        if not data:
            selector.unregister(key.fileobj)
        elif key.data:
            self._streams[key.data].add(data[: self._left])
            self.results.output_cut |= len(data) > self._left
            self._left = max(0, self._left - len(data))
        else:
            self._on_status(data)

    def _on_status(self, data: bytes) -> None:
        """Record the exit code of a script. First pass on all output so far: the next script waits for it."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            for name, pipe in (("stdout", self._warden.stdout), ("stderr", self._warden.stderr)):
                assert pipe is not None
                with contextlib.suppress(BlockingIOError):
                    while chunk := os.read(pipe.fileno(), 65536):
                        self._streams[name].add(chunk[: self._left])
                        self.results.output_cut |= len(chunk) > self._left
                        self._left = max(0, self._left - len(chunk))
            self._pass_on(lambda _: True)
            ended = json.loads(line)
            self.results.exit_codes.append(ended["exit"])
            self.results.broken_limit = ended.get("limit")
            self._tell("")  # the next script may begin

    def _pass_on(self, wanted: Callable[[_Stream], bool]) -> None:
        script = min(len(self.results.exit_codes), len(self._scripts) - 1)
        for stream in self._streams.values():
            if wanted(stream) and (text := stream.take()):
                self._on_output(script, stream.name, text)

    def _end(self) -> None:
        """Ask the warden to end what it started. If it does not, kill it: its death ends the rest."""
        if self._warden.poll() is None:
            self._warden.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._warden.wait(_END_SECONDS)
            if self._warden.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._warden.pid, signal.SIGKILL)
                self._warden.wait(_END_SECONDS)
        for pipe in (self._warden.stdin, self._warden.stdout, self._warden.stderr, self._status):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

"""A log handler for a busy process: it gathers lines for a few milliseconds and writes them together."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from bridge.logs.fields import LogFields

_GATHER_SECONDS = 0.005  # long enough for many lines of a busy process, and little to lose when it is killed


class LineFormatter(Protocol):
    """A formatter that can make a line without a LogRecord."""

    def line(self, levelno: int, message: str, fields: LogFields, more: Mapping[str, int]) -> str: ...


class BufferedHandler(logging.StreamHandler[TextIO]):
    """Gathers lines for 5 ms and writes them together. A warning or worse is written at once, with all lines before it.

    Reason: a write lets other threads run, and in a busy process the writing thread then waits for its turn longer
    than the work between two lines takes. Danger: a process that is killed loses the lines of its last milliseconds.
    What it did is in Postgres.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: deque[str] = deque()
        self._writing = threading.Lock()
        self._gathering = threading.Event()
        threading.Thread(target=self._run, name="log lines", daemon=True).start()

    def createLock(self) -> None:  # noqa: N802 -- the library's name
        """No lock around each line: `deque.append` is atomic, and a lock held while writing would block all threads."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record))
        except Exception:  # noqa: BLE001 -- as in every handler: a line that cannot be formatted must not fail its caller
            self.handleError(record)
            return
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._gathering.is_set():
            self._gathering.set()

    def say(self, levelno: int, message: str, fields: LogFields, more: Mapping[str, int]) -> None:
        """Write a line below the level of a warning, without a LogRecord."""
        formatter: Any = self.formatter  # a LineFormatter
        self._lines.append(formatter.line(levelno, message, fields, more))
        if not self._gathering.is_set():
            self._gathering.set()

    def flush(self) -> None:
        with self._writing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                self.stream.write("\n".join(lines) + "\n")
                self.stream.flush()

    def _run(self) -> None:
        pause = threading.Event()
        while self._gathering.wait():
            pause.wait(_GATHER_SECONDS)
            self._gathering.clear()
            with contextlib.suppress(Exception):  # the reader of the pipe has ended
                self.flush()

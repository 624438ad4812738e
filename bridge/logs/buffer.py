"""Log lines of a busy process, written a few milliseconds' worth at a time."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Protocol, TextIO, cast

from bridge.logs.fields import LogFields

_GATHER_SECONDS = 0.005


class LineFormatter(Protocol):
    """What makes a line without a record of the library's."""

    def line(self, levelno: int, message: str, fields: LogFields, more: Mapping[str, int]) -> str: ...


class BufferedHandler(logging.StreamHandler[TextIO]):
    """Gathers lines for 5 ms and writes them together; a warning or worse goes out at once, with all before it.

    A write lets other threads run, and coming back from it takes a busy process longer than the work between
    two lines. A process that is killed takes its last milliseconds of talk with it: what it did is in Postgres.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: deque[str] = deque()
        self._writing = threading.Lock()
        self._gathering = threading.Event()
        threading.Thread(target=self._run, name="log lines", daemon=True).start()

    def createLock(self) -> None:  # noqa: N802 -- the library's name
        """None around each line: taking one is a single step, and a lock held while writing would stop everybody."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record))
        except Exception:  # noqa: BLE001 -- as every handler: a line that cannot be made must not hurt its caller
            self.handleError(record)
            return
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._gathering.is_set():
            self._gathering.set()

    def say(self, levelno: int, message: str, fields: LogFields, more: Mapping[str, int]) -> None:
        """Write a line below a warning that needs no record."""
        self._lines.append(cast("LineFormatter", self.formatter).line(levelno, message, fields, more))
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
            with contextlib.suppress(Exception):  # a reader that went away
                self.flush()

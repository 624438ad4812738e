"""Stop signals of our processes: the first one asks the process to stop, the second one ends it at once."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, honcho and systemd signal a whole process group, and parents forward their signal too. So a signal that comes
# within a second of the first one is taken for the same one.
SAME_SIGNAL_SECONDS = 1.0


class StoppedError(Exception):
    """A stop signal came during a wait, or inside `StopSignal.raising()`."""


class StopSignal:
    """Set by the first SIGTERM or SIGINT. A second one, later than SAME_SIGNAL_SECONDS, ends the process at once.

    Must be created in the main thread. Uses pipes and no lock, because a handler may interrupt any code, also another
    handler.
    """

    def __init__(self) -> None:
        self.name = ""
        self._came_at = 0.0
        self._raises = False
        self._readable, self._writable = os.pipe()
        # Python runs a handler between two bytecodes. A signal that comes just before `select` would not end that call:
        # only this pipe does, which is written to when the signal itself arrives.
        self._any_signal, wakeup = os.pipe()
        os.set_blocking(self._any_signal, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_signal)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self.name and time.monotonic() - self._came_at < SAME_SIGNAL_SECONDS:
            return
        if self.name:
            os._exit(128 + signum)
        self._came_at = time.monotonic()
        self.name = signal.Signals(signum).name
        os.write(self._writable, b".")  # never read, so the pipe stays readable and the signal stays set
        if self._raises:
            raise StoppedError

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Inside the `with`, the signal raises StoppedError, whatever the main thread waits for.

        For a boot, in which nothing can be lost. The signal stays set, should the error be swallowed somewhere.
        """
        self._raises = True
        try:
            if self.name:
                raise StoppedError
            yield
        finally:
            self._raises = False

    def is_set(self) -> bool:
        return bool(self.name)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the signal. False when it has not come in time."""
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            ready = select.select([self._readable, self._any_signal], [], [], left)[0]
            if self._readable in ready or self.name:
                return True
            if not ready:
                return False
            self._forget_other_signals()

    def _forget_other_signals(self) -> None:
        try:
            os.read(self._any_signal, 4096)
        except BlockingIOError:  # another thread has read it already
            return

    def rest(self, seconds: float) -> None:
        """Rest for `seconds`. Raises StoppedError as soon as the signal comes."""
        if self.wait(seconds):
            raise StoppedError

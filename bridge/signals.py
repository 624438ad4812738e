"""Stop signals for a process of ours: the first one asks, the second one insists."""

import os
import signal
import threading
from types import FrameType


class StopSignal:
    """Set by the first SIGTERM or SIGINT. The second one ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.name = ""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_signal)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self._event.is_set():
            os._exit(128 + signum)
        self.name = signal.Signals(signum).name
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        return self._event.wait(timeout_seconds)

"""What `print` writes to in a worker process: one pipe to Dramatiq's parent, for all jobs of the process."""

import os
import sys
import threading
from collections.abc import Callable

from dramatiq.compat import StreamablePipe

from bridge.worker.dramatiq_patches import replace


def share_output() -> None:
    """Let all threads of this process print at the same time."""
    share(sys.stdout)
    if sys.stderr is not sys.stdout:
        share(sys.stderr)


def share(output: object) -> None:
    """Patch the output if it is Dramatiq's. Any other stays as it is."""
    if isinstance(output, StreamablePipe):
        SharedPipe(output)


class SharedPipe:
    """Patches a pipe: one text is written at a time, and no job closes it for the others.

    A long text is several writes. Mixed with another thread's, the parent would read a wrong length and wait for that
    much: meanwhile it reads no other process either, and each of them hangs as soon as its pipe is full.
    """

    def __init__(self, pipe: StreamablePipe) -> None:
        self._write: Callable[[str], object] = pipe.write
        self._lock = threading.RLock()  # reentrant: a signal handler may print
        os.register_at_fork(after_in_child=self._unlock)
        replace(pipe, "write", self.write)
        replace(pipe, "close", lambda: None)

    def _unlock(self) -> None:
        """In a child process of `os.fork`, the thread that held the lock does not exist."""
        self._lock = threading.RLock()

    def write(self, text: str) -> None:
        with self._lock:
            self._write(text)

"""Commands that start processes, and end them however the command itself ends."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130


def run_command(name: str, main: Callable[[], int]) -> NoReturn:
    """Exit with the code that `main` returns. A stop signal ends it as Ctrl-C does, with all its processes."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted, everything was ended\n")
        sys.exit(INTERRUPTED)


def _as_interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt

"""How a worker's process behaves towards its parent and its own end. Dramatiq's child process runs this."""

import logging
import multiprocessing.util
import os
import sys
import traceback
from contextlib import suppress
from typing import TextIO

from bridge.logs import write_last_lines
from bridge.parent_watch import watch_parent


def own_stderr() -> TextIO:
    """Where this process's log lines go: straight to standard error.

    Dramatiq sends what its workers write to their parent, line by line, to be written there: that is as
    much work again as writing it. With its option --log-file only the parent knows where to write.
    """
    if any(argument.startswith("--log-file") for argument in sys.argv):
        return sys.stderr
    return os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")


def end_with_parent(patience_seconds: float) -> None:
    """Stop when the parent process is gone, and end after the patience whatever happens. Leaves no log line behind."""
    watch_parent(patience_seconds)
    # A child of multiprocessing ends without Python's usual farewell, and log lines wait a few milliseconds.
    multiprocessing.util.Finalize(None, write_last_lines, exitpriority=0)


def end_in_copy_of(process: int) -> None:
    """End here if this is not the process of that id, but a copy that an actor's fork made, in Python or in C.

    Where both come back from the actor, the copy would go on as a worker without its other threads, holding the
    connections of this one. It ends as a script would: with the code of a SystemExit, or 1 and the traceback. That is
    written without the streams of Python: a thread that is not in this copy may have held their locks.
    """
    if os.getpid() == process:
        return
    error = sys.exception()
    code = 0 if error is None else 1
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        code = error.code or 0
    elif error is not None:
        with suppress(OSError):
            os.write(2, "".join(traceback.format_exception(error)).encode(errors="backslashreplace"))
    os._exit(code & 0xFF)


def says_it_better(record: logging.LogRecord) -> bool:
    """Keeps out Dramatiq's lines about message outcomes: they print arguments, and ours say the same."""
    text = str(record.msg)
    return not (
        text.startswith(("Failed to process message", "Message %s was skipped")) or "returned a value that is" in text
    )

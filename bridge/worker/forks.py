"""Ends a copy of a worker process, made by an actor's fork, before it can work as a worker."""

import os
import sys
import traceback
from contextlib import suppress


def end_in_copy_of(process: int) -> None:
    """End here if this process does not have that id: then it is a copy that an actor's fork made, in Python or in C.

    When both return from the actor, the copy would work on as a worker without its other threads, on the connections
    of the original. It ends as a script would: with the code of a SystemExit, or 1 and the traceback. That is written
    without Python's streams: a thread that does not exist in the copy may have held their locks.
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

"""Becomes another program, which dies with the thread that started it: launcher.py PARENT PROGRAM ARGUMENT...

It runs with the standard library alone, between the worker and Claude Code, with whose process id it goes on. Where the
system is not Linux nothing tells of the thread's death: the program finds its input at its end.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def main(arguments: list[str]) -> None:
    parent, program = int(arguments[0]), arguments[1]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before prctl took effect
        sys.exit(1)
    try:
        os.execv(program, arguments[1:])  # noqa: S606 -- that is its work
    except OSError as error:
        sys.exit(f"{program}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])

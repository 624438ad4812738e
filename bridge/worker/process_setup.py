"""Sets up logging and the watch on the parent at a worker process's boot. Runs in Dramatiq's child process."""

import multiprocessing
import multiprocessing.util
import os
import sys
from typing import TextIO

from bridge.logs.formats import configure_logging, write_last_lines
from bridge.runtime.parent_watch import watch_parent
from bridge.settings import Settings
from bridge.worker.dramatiq_patches import drop_outcome_lines
from bridge.worker.process_output import share_output


def set_up_worker_process(settings: Settings, grace_seconds: float) -> None:
    """Log as the settings say, write the last log lines at the end, and stop when the parent process has died.

    The process is killed when it still runs `grace_seconds` after that.
    """
    share_output()
    configure_logging(settings, _stderr_of_this_process(), buffered=True)
    drop_outcome_lines()
    parent = multiprocessing.parent_process()  # Dramatiq's; None if multiprocessing did not start this process
    watch_parent(grace_seconds, parent=parent.pid if parent else None)
    # A child of multiprocessing does not run atexit functions, and the last log lines are in a buffer.
    multiprocessing.util.Finalize(None, write_last_lines, exitpriority=0)


def _stderr_of_this_process() -> TextIO:
    """The stream for this process's log lines: directly to standard error.

    Dramatiq sends what its workers write to their parent, line by line, and the parent writes it: twice the work.
    Exception: with Dramatiq's option --log-file only the parent knows where to write.
    """
    if any(argument.startswith("--log-file") for argument in sys.argv):
        return sys.stderr
    return os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")

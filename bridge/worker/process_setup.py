"""What a worker process sets up at its boot, beside its work. Dramatiq's child process runs this."""

import multiprocessing
import multiprocessing.util
import os
import sys
from typing import TextIO

from bridge.logs.formats import configure_logging, write_last_lines
from bridge.runtime.parent_watch import watch_parent
from bridge.settings import Settings
from bridge.worker.dramatiq_patches import drop_outcome_lines


def set_up_worker_process(settings: Settings, grace_seconds: float) -> None:
    """Log as the settings say, leave no log line behind, and stop when the parent process is gone.

    After `grace_seconds` without a parent the process ends, whatever happens.
    """
    configure_logging(settings, _stderr_of_this_process(), buffered=True)
    drop_outcome_lines()
    parent = multiprocessing.parent_process()  # of Dramatiq's; None in a process that nobody forked
    watch_parent(grace_seconds, parent=parent.pid if parent else None)
    # A child of multiprocessing does not run what was registered with atexit, and the last log lines are in a buffer.
    multiprocessing.util.Finalize(None, write_last_lines, exitpriority=0)


def _stderr_of_this_process() -> TextIO:
    """Where this process's log lines go: straight to standard error.

    Dramatiq sends what its workers write to their parent, line by line, and the parent writes it. That is as much work
    again as writing it here. With its option --log-file only the parent knows where to write.
    """
    if any(argument.startswith("--log-file") for argument in sys.argv):
        return sys.stderr
    return os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")

"""Notices that a job ends its own worker process, and writes down which one, in the last moment.

Noticed: `os._exit` and `os.kill` of the own process in an actor, async ones and what they run in `asyncio.to_thread`
included; and fatal errors of C code (a segmentation fault, an abort) in an actor's thread. Not noticed: what an actor
does in threads that it started itself, what other processes do for it, fatal errors in async actors, and `_exit` or
`kill` that were imported by name before this. Nobody is to blame for a signal from outside.
"""

import faulthandler
import logging
import os
import signal
import threading
from functools import wraps
from typing import Any

from bridge.job import current_job
from bridge.worker.crash_record import VARIABLE, CrashRecord

logger = logging.getLogger(__name__)

_FATAL_SIGNALS = frozenset(
    {signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
)


def watch_ends() -> CrashRecord:
    """The record of this process, which from now on notices such ends."""
    record = _open_record()
    _watch_calls(record)
    os.register_at_fork(after_in_child=record.detach)
    if record.file is not None and not faulthandler.is_enabled():  # who has it enabled wants to read what it writes
        faulthandler.enable(record.file)
        os.register_at_fork(after_in_child=faulthandler.disable)
    return record


def _open_record() -> CrashRecord:
    path = os.environ.pop(VARIABLE, None)  # not for what actors start
    try:
        return CrashRecord(path)
    except OSError as error:
        logger.debug("No crash record", extra={"reason": str(error)})
        return CrashRecord()


def _watch_calls(record: CrashRecord) -> None:
    exit_, kill = os._exit, os.kill

    @wraps(exit_)
    def noting_exit(status: int) -> Any:
        _note(record)
        exit_(status)

    @wraps(kill)
    def noting_kill(pid: int, sig: int) -> None:
        if pid != os.getpid() or sig not in _FATAL_SIGNALS:
            kill(pid, sig)
            return
        _note(record)
        # To this thread: while another one writes down how the process ends (faulthandler), the job would run on, fail,
        # and be reported as failed.
        signal.pthread_kill(threading.get_ident(), sig)

    os._exit, os.kill = noting_exit, noting_kill


def _note(record: CrashRecord) -> None:
    try:
        job = current_job()
    except RuntimeError:  # no job's doing
        return
    record.set_ended_by(job.id)

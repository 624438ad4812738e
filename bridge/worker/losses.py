"""Tells the database that a worker process has ended: its jobs need not wait until its link is missed."""

import logging
import multiprocessing
import signal

from bridge.errors import BridgeError
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.settings.running_stores import process_started
from bridge.worker.crash_record import Crash

logger = logging.getLogger(__name__)

_TIMEOUT_MS = 2_000  # by then the bridge has missed the link


def report(dsn: str, crash: Crash) -> None:
    """Returns at once: a process of its own waits for the database. If it cannot say so, the bridge finds out itself.

    For a process that has no other threads: it forks.
    """
    if process_started(crash.pid) is not None:
        return  # only its parent has ended
    if crash.ended_by is not None:
        logger.error("A job ended its worker process", extra={"jobId": str(crash.ended_by), "reason": crash.error})
    multiprocessing.get_context("fork").Process(target=_tell, args=(dsn, crash), daemon=True).start()


def _tell(dsn: str, crash: Crash) -> None:
    signal.set_wakeup_fd(-1)  # the supervisor's, which must not be told of our signals
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)
    link = Link(dsn, "losses", statement_timeout_ms=_TIMEOUT_MS)
    try:
        JobQueue(link).declare_lost(crash.worker, ended_by=crash.ended_by)
    except BridgeError as error:
        logger.debug("The end of a worker process was not reported", extra={"reason": str(error)})
    finally:
        link.close()

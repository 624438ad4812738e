"""Logs how an attempt ended, when its report is written."""

import logging
from types import TracebackType
from typing import Any

import dramatiq.errors

from bridge.errors import BridgeError, Fail, Retry
from bridge.job import Cancelled, Completed, Failed, Released, Status
from bridge.logs import job_lines
from bridge.logs.fields import LogFields
from bridge.postgres.attempts import Event
from bridge.worker.ending import Ending

logger = logging.getLogger(__name__)

_NO_STACK_FOR = (BridgeError, Fail, Retry, dramatiq.errors.Retry)  # their text is enough


def fields_of(item: Event | Ending, reason: BridgeError | str) -> dict[str, Any]:
    """The fields of a log line about a report that Postgres refuses."""
    run = item.run if isinstance(item, Ending) else None
    fields = run.log_fields if run else LogFields(jobId=str(item.key.job_id))
    return {**fields, "reason": str(reason)}


def log_ending(ending: Ending, status: Status | None) -> None:
    """Log how an attempt ended. `status` is the job's new status, or None if the report changed nothing."""
    run = ending.run
    fields = run.log_fields if run else LogFields(jobId=str(ending.key.job_id))
    more = {"duration": int(run.duration * 1000)} if run else {}
    if status is None and ending.key.exec is None:
        logger.debug("A hand-over was over already", extra=fields)
        return
    if status is None:
        logger.warning("Report refused: this attempt is no longer ours", extra=fields | more)
        return
    match ending.report:
        case Completed(dropped=str() as reason):
            logger.warning("Result dropped", extra=fields | {"reason": reason})
            job_lines.info(logger, "Job completed", fields, **more)
        case Completed():
            job_lines.info(logger, "Job completed", fields, **more)
        case Cancelled(error):
            logger.warning("Job cancelled", extra=fields | more | {"error": error[:500]})
        case Failed():
            shown = _stack(ending.exception)
            has_stack = shown is not None and shown[2] is not None
            extra = fields | more if has_stack else fields | more | {"error": ending.report.error[:500]}
            if status is Status.PENDING:
                logger.warning("Job failed, will retry", extra=extra, exc_info=shown)
            else:
                logger.error("Job failed", extra=extra, exc_info=shown)
        case Released():
            logger.info("Job handed back", extra=fields | more)


def _stack(error: BaseException | None) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    """An actor's exception as the log shows it: without the frames around the actor, and some without a stack."""
    if error is None:
        return None
    if isinstance(error, _NO_STACK_FOR):
        return type(error), error, None
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_around_the_actor(trace):
        trace = trace.tb_next
    return type(error), error, trace


def _is_around_the_actor(trace: TracebackType) -> bool:
    return str(trace.tb_frame.f_globals.get("__name__", "")).startswith(("dramatiq.", "bridge.worker.interrupt_guard"))

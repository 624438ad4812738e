"""Decides how an actor's end is reported. reports.py writes the report."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import dramatiq.errors
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Interrupt, Shutdown, TimeLimitExceeded

from bridge.errors import DirectSendError, Fail, NotOursError, PayloadError, Release, Retry
from bridge.job import Cancelled, Completed, Failed, Released, Report
from bridge.postgres.attempts import ERROR_MOST
from bridge.postgres.json_text import to_json
from bridge.worker.interrupts import JobCancelledError, LeaseLostError, LeaseOverError, WorkerStoppingError

_NO_RESULT = Completed(None)  # most actors return nothing
_SHOWN_OF_A_GROUP = 5  # a group may hold thousands of alike exceptions


def report_of(
    result: Any, exception: BaseException | None, *, throws: Any = None, must_store: bool = True
) -> Report | None:
    """The report for an actor that returned `result` or raised `exception`; None when the attempt is not ours any more.

    `throws` is the actor's option: errors after which there is no further attempt. A result that cannot be stored is a
    failure if it `must_store`, and else is dropped, as Dramatiq does. In neither case is the work done again.
    """
    if exception is None:
        return _completed(result, must_store=must_store)
    try:
        return _ended_by(exception, throws)
    except BaseException:  # noqa: BLE001 -- an exception may be anything, and the attempt must end
        return Failed(_named(exception))


def report_of_message(
    message: MessageProxy, options: Mapping[str, Any], result: Any, exception: BaseException | None
) -> Report | None:
    """As `report_of`, for a message. `options` are its actor's and its own. A middleware may have failed it."""
    report = report_of(result, exception, throws=options.get("throws"), must_store=bool(options.get("takes_job")))
    if message.failed and isinstance(report, Completed | Failed):  # Dramatiq keeps such a message as a dead letter
        reason = report.error if isinstance(report, Failed) else "marked as failed by a middleware"
        return Failed(reason, final=True)
    return report


def skipped(by: str, reason: BaseException) -> Report:
    """The report for a job that `by` skipped: Dramatiq drops such a message, so the job is cancelled."""
    text = _text(reason)
    return Cancelled(f"{by}: {text}" if text else by)


def _completed(result: Any, *, must_store: bool) -> Report:
    try:
        return _NO_RESULT if result is None else Completed(to_json(result, "result"))
    except BaseException as error:  # noqa: BLE001 -- a result may be anything, and changed meanwhile
        reason = str(error) if isinstance(error, PayloadError) else f"the result cannot be stored: {_named(error)}"
    return Failed(reason, final=True) if must_store else Completed(None, dropped=reason)


def _ended_by(exception: BaseException, throws: Any) -> Report | None:
    cause = _deciding(exception)
    match cause:
        case LeaseLostError() | NotOursError():
            return None
        case LeaseOverError() | JobCancelledError() | WorkerStoppingError() | Shutdown():
            return Released()
        case Fail() | DirectSendError():  # a message that cannot be a job now cannot be one later
            return Failed(_text(cause) or type(cause).__name__, final=True)
        case Release():
            return Released(cause.delay)
        case Retry():
            return Failed(_text(cause) or type(cause).__name__, delay=cause.delay)
        case dramatiq.errors.Retry():
            delay = None if cause.delay is None else timedelta(milliseconds=cause.delay)
            return Failed(_text(cause) or type(cause).__name__, delay=delay)
        case TimeLimitExceeded():
            return Failed("the time limit was exceeded")
        case _:
            final = bool(throws) and any(isinstance(one, throws) for one in _leaves(exception))
            return Failed(_named(exception), final=final)


def _deciding(exception: BaseException) -> BaseException:
    """The exception of a group that decides the report: an interrupt before a Fail, a Fail before a Retry.

    Before all: the attempt is not ours any more, so that nothing is reported.
    """
    leaves = list(_leaves(exception))
    for kind in (NotOursError, Interrupt, Fail, DirectSendError, Release, Retry):
        for one in leaves:
            if isinstance(one, kind):
                return one
    return exception


def _leaves(exception: BaseException) -> Iterator[BaseException]:
    if isinstance(exception, BaseExceptionGroup):
        for one in exception.exceptions:
            yield from _leaves(one)
    else:
        yield exception


def _named(error: BaseException) -> str:
    text = f"{type(error).__name__}: {_text(error)}"
    if isinstance(error, BaseExceptionGroup):
        leaves = list(_leaves(error))
        text += ": " + "; ".join(_named(one)[:500] for one in leaves[:_SHOWN_OF_A_GROUP])
        text += "; …" if len(leaves) > _SHOWN_OF_A_GROUP else ""
    return text


def _text(error: BaseException) -> str:
    try:
        return str(error)[:ERROR_MOST]
    except BaseException as fault:  # noqa: BLE001 -- an exception whose own text fails is one, too
        return f"(its text cannot be made: {type(fault).__name__})"

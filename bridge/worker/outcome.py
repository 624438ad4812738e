"""What an actor's end means for its job: decided here, written elsewhere."""

from datetime import timedelta
from typing import Any

import dramatiq.errors
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from bridge.errors import Fail, PayloadError, Retry
from bridge.job import Completed, Failed, Released, Report
from bridge.json_text import to_json
from bridge.worker.runs import JobCancelledError, LeaseLostError, LeaseOverError, WorkerStoppingError


def report_of(result: Any, exception: BaseException | None, *, throws: Any = None) -> Report | None:
    """The report for an actor that returned `result` or raised `exception`; None when there is nobody to tell.

    `throws` is the actor's option of that name: errors that another attempt would only meet again.
    """
    try:
        return _report_of(result, exception, throws)
    except Exception as error:  # noqa: BLE001 -- an exception whose own text fails, a result changed meanwhile: the attempt must end
        return Failed(f"{type(exception or error).__name__}: its report could not be made")


def _report_of(result: Any, exception: BaseException | None, throws: Any) -> Report | None:
    match exception:
        case None:
            try:
                return Completed(None if result is None else to_json(result, "result"))
            except PayloadError as error:
                return Failed(str(error))
        case LeaseLostError():
            return None
        case LeaseOverError() | JobCancelledError() | WorkerStoppingError() | Shutdown():
            return Released()
        case Fail():
            return Failed(_text(exception), final=True)
        case Retry():
            return Failed(_text(exception), delay=exception.delay)
        case dramatiq.errors.Retry():
            delay = None if exception.delay is None else timedelta(milliseconds=exception.delay)
            return Failed(_text(exception), delay=delay)
        case TimeLimitExceeded():
            return Failed("the time limit was exceeded")
        case _:
            final = bool(throws) and isinstance(exception, throws)
            return Failed(f"{type(exception).__name__}: {exception}", final=final)


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__

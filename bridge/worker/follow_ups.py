"""Dramatiq's options that act after an attempt: another wait before the retry, or another job."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid5

import dramatiq.common
from dramatiq import Broker, Message
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Interrupt

from bridge.job import Attempt, Completed, Failed, Report
from bridge.worker.outcome import report_of
from bridge.worker.runs import Run

logger = logging.getLogger(__name__)

# Names and numbers are Dramatiq's, as in its documentation.
OPTIONS = frozenset(
    {"retry_when", "min_backoff", "max_backoff", "on_success", "on_failure", "on_retry_exhausted"}
    | {"pipe_ignore", "pipe_target", "store_results", "result_ttl"}
)
_MIN_BACKOFF, _MAX_BACKOFF = 15_000, 604_800_000  # milliseconds; Dramatiq's defaults, for when only one is given


def with_retry_options(
    report: Report, options: Mapping[str, Any], attempt: Attempt, error: BaseException | None
) -> Report:
    """The report of a failure, changed according to `retry_when`, `min_backoff` and `max_backoff`."""
    if not isinstance(report, Failed) or report.final or error is None:
        return report
    retries = attempt.number - 1
    decides = options.get("retry_when")
    if decides is not None and not isinstance(error, Interrupt):
        try:
            if not decides(retries, error):
                return replace(report, final=True)
        except Exception as fault:  # noqa: BLE001 -- users' code; the attempt must end, and may be tried again
            return replace(report, error=f"{report.error} (and retry_when failed: {type(fault).__name__})")
    if report.delay is None and (options.get("min_backoff") or options.get("max_backoff")):
        most = min(options.get("max_backoff") or _MAX_BACKOFF, _MAX_BACKOFF)
        _, wait = dramatiq.common.compute_backoff(
            retries, factor=options.get("min_backoff") or _MIN_BACKOFF, max_backoff=most
        )
        return replace(report, delay=timedelta(milliseconds=wait))
    return report


def follow_ups(
    broker: Broker,
    message: MessageProxy,
    options: Mapping[str, Any],
    attempt: Attempt,
    report: Report,
    result: Any,
    error: BaseException | None,
) -> "list[Message[Any]]":
    """The messages to send after an attempt with this end. `options` are the actor's and the message's.

    The id of each is derived from the job's, or is the one it was composed with: sent twice, it is one job.
    Raises ActorNotFound for a callback that is not declared here.
    """
    if isinstance(report, Completed):
        called = [("on_success", result)]
    elif isinstance(report, Failed):
        is_over = report.final or attempt.is_last
        called = [("on_failure", {"type": type(error).__name__, "message": report.error})]
        if is_over:
            called.append(("on_retry_exhausted", {"retries": attempt.number - 1, "max_retries": None}))
    else:
        return []
    messages = [
        _callback(broker, name, message, argument, attempt, option)
        for option, argument in called
        if (name := options.get(option))
    ]
    if isinstance(report, Completed) and (target := options.get("pipe_target")):
        # The actor's option. Of messages, only that of the next one counts.
        ignores = broker.get_actor(message.actor_name).options.get("pipe_ignore")
        messages.append(_next_in_pipeline(target, bool(ignores), result))
    return messages


def send_follow_ups(
    broker: Broker,
    message: MessageProxy,
    options: Mapping[str, Any],
    run: Run,
    report: Report,
    result: Any,
    error: BaseException | None,
) -> Report:
    """Send the messages that follow. Returns the report to make: a failure if they could not be inserted.

    They are sent before the report, which is final: a pipeline must not lose its next step.
    """
    try:
        for following in follow_ups(broker, message, options, run.attempt, report, result, error):
            broker.enqueue(following, delay=following.options.get("delay"))
    except Exception as fault:
        logger.exception("What follows this job could not be inserted", extra=run.log_fields)
        if isinstance(report, Completed):
            return report_of(None, fault) or report
    return report


def _callback(
    broker: Broker, name: Any, message: MessageProxy, argument: Any, attempt: Attempt, option: str
) -> "Message[Any]":
    about = message.asdict()
    if broker.get_actor(message.actor_name).options.get("takes_job"):
        about["args"] = [attempt.payload]
    about["options"] = {key: value for key, value in about["options"].items() if key != "redis_message_id"}
    if option != "on_success":
        about["options"]["retries"] = attempt.number  # Dramatiq has counted the next one by then
    sent = broker.get_actor(getattr(name, "actor_name", name)).message(about, argument)
    return sent.copy(message_id=str(uuid5(attempt.job_id, f"{option} {attempt.number}")))


def _next_in_pipeline(target: Mapping[str, Any], is_ignored: bool, result: Any) -> "Message[Any]":
    following: Message[Any] = Message(**target)
    if is_ignored or following.options.get("pipe_ignore"):
        return following
    return following.copy(args=(*following.args, result))

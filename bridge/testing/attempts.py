"""Runs the attempts of a job one after the other, as Postgres and a worker would, and keeps what they did."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from dramatiq import Actor, Broker, Message
from dramatiq.broker import MessageProxy
from dramatiq.middleware import SkipMessage

from bridge.job import Attempt, Cancelled, Completed, Failed, Job, Report, Status, running_as
from bridge.postgres.actor_options import plain_call
from bridge.postgres.json_text import to_json
from bridge.worker.follow_ups import follow_ups, with_retry_options
from bridge.worker.outcome import report_of_message, skipped


@dataclass(frozen=True)
class Ended:
    """A job after its last attempt here, with the values that its row would have.

    `status` is completed, failed or cancelled, or pending when the last attempt was handed back. `result` was
    converted to JSON and back. `error` is the text of the last failure, `errors` has the text of each. `waits` has the
    wait before each further attempt, None where the actor did not set it. `events` are the arguments of `job.emit()`:
    (type, data).
    """

    status: Status
    result: Any = None
    error: str | None = None
    attempts: int = 0
    errors: Sequence[str] = ()
    waits: Sequence[timedelta | None] = ()
    events: Sequence[tuple[str, Any]] = ()


def run_attempts(broker: Broker, actor: "Actor[Any, Any]", job: Job, most: int) -> Ended:
    """Up to `most` attempts of a job in this thread. An async actor needs the broker's event loop to be open."""
    record = _Record()
    for number in range(1, most + 1):
        now = replace(job, attempt=number, fence=number, _emit=record.emit)
        attempt = Attempt(
            job.id, job.session_id, job.prompt, job.payload, job.priority, number, number == most,
            actor.queue_name, actor.actor_name,
        )  # fmt: skip
        report = _run_attempt(broker, actor, now, attempt)
        if isinstance(report, Failed):
            record.errors.append(report.error)
            if not report.final and number < most:
                record.waits.append(report.delay)
                continue
        return record.ended(report, number)
    raise ValueError("max_retries must be at least 1: it counts attempts")


@dataclass
class _Record:
    """What has happened to a job so far."""

    errors: list[str] = field(default_factory=list)
    waits: list[timedelta | None] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)

    def emit(self, event_type: str, data: Mapping[str, Any]) -> None:
        self.events.append((event_type, json.loads(to_json(data, "event's data"))))

    def ended(self, report: Report, attempts: int) -> Ended:
        ended = Ended(
            Status.PENDING, attempts=attempts, errors=self.errors, waits=self.waits, events=self.events,
            error=self.errors[-1] if self.errors else None,
        )  # fmt: skip
        match report:
            case Completed():
                result = None if report.result is None else json.loads(report.result)
                return replace(ended, status=Status.COMPLETED, result=result)
            case Failed():
                return replace(ended, status=Status.FAILED)
            case Cancelled():
                return replace(ended, status=Status.CANCELLED, error=report.error)
            case _:
                return ended


def _run_attempt(broker: Broker, actor: "Actor[Any, Any]", job: Job, attempt: Attempt) -> Report:
    sent: Message[Any] = Message(actor.queue_name, actor.actor_name, (), {}, {}, message_id=str(job.id))
    message = MessageProxy(sent)
    try:
        message.args, message.kwargs, options = _call_of(actor, job)
    except ValueError as error:
        return Failed(f"bad payload: {error}", final=True)
    message.options.update(options)
    result: Any = None
    exception: BaseException | None = None
    try:
        broker.emit_before("process_message", message)
        with running_as(job):
            result = actor(*message.args, **message.kwargs)
    except SkipMessage as skip:
        by, reason = getattr(message, "skipped", None) or ("skipped by its actor", skip)
        broker.emit_after("skip_message", message)
        return skipped(by, reason)
    except KeyboardInterrupt:  # the developer stops the tests
        raise
    except BaseException as error:  # noqa: BLE001 -- as a worker does
        exception = error
    broker.emit_after("process_message", message, result=result, exception=exception)
    return _report(broker, actor, message, attempt, result, exception)


def _report(
    broker: Broker,
    actor: "Actor[Any, Any]",
    message: MessageProxy,
    attempt: Attempt,
    result: Any,
    error: BaseException | None,
) -> Report:
    options = actor.options | message.options
    report = report_of_message(message, options, result, error)
    assert report is not None, "no lease is lost here"
    report = with_retry_options(report, options, attempt, error)
    for following in follow_ups(broker, message, options, attempt, report, result, error):
        broker.enqueue(following)
    return report


def _call_of(actor: "Actor[Any, Any]", job: Job) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """The arguments and options of the call. Raises ValueError for a payload that is not a call of a plain actor."""
    return ((job,), {}, {}) if actor.options.get("takes_job") else plain_call(job.payload)

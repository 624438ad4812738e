"""Runs actors in tests, without stores: a job runs to its end in the calling thread.

Call `connect_testing_broker()` before the actors package is imported, for example in `conftest.py`; then
`run_job(actor, payload)`. There are no claims, leases and time limits. The waits before retries are recorded, and not
waited for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import dramatiq
from dramatiq import Actor, Message, Middleware
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.broker import MessageProxy
from dramatiq.middleware import AgeLimit, CurrentMessage, ShutdownNotifications, SkipMessage, TimeLimit

from bridge import broker as brokers
from bridge.broker import FleetBroker
from bridge.errors import PayloadError
from bridge.job import Attempt, Cancelled, Completed, Failed, Job, Report, Status, running_as
from bridge.postgres.actor_options import attempts_of, plain_call
from bridge.postgres.json_text import to_json
from bridge.postgres.sender import payload_of
from bridge.settings import Settings
from bridge.transport.client import connect_redis
from bridge.worker.event_loop import JobAsyncIO
from bridge.worker.follow_ups import follow_ups, with_retry_options
from bridge.worker.middleware import ACTOR_OPTIONS
from bridge.worker.outcome import report_of_message, skipped

_NOWHERE = "redis://127.0.0.1:9/0"  # no connection is ever opened to it


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


class TestingBroker(FleetBroker):
    """Declares actors as the broker of a worker does. `.send()` only appends the message to `sent`."""

    __test__ = False  # pytest would take a class of this name for a class of tests

    def __init__(self) -> None:
        self._loops = JobAsyncIO(lambda _: None)
        super().__init__(
            connect_redis(_NOWHERE),
            settings=Settings(
                _env_file=None,  # type: ignore[call-arg]
                database_url="postgresql://nobody@127.0.0.1:9/none",  # type: ignore[arg-type]
                redis_url=_NOWHERE,  # type: ignore[arg-type]
            ),
            middleware=[
                _ActorOptions(),
                AgeLimit(),
                TimeLimit(),
                ShutdownNotifications(),
                CurrentMessage(),
                self._loops,
            ],
        )
        self.sent: list[Message[Any]] = []

    def enqueue(self, message: "Message[Any]", *, delay: int | None = None) -> "Message[Any]":
        """Keep the message. Raises DirectSendError when it cannot be a job, ActorNotFound for an unknown actor."""
        payload_of(message, self.get_actor(message.actor_name).options)
        self.emit_before("enqueue", message, delay)
        self.sent.append(message)
        self.emit_after("enqueue", message, delay)
        return message

    def run_sent(self) -> list[Ended]:
        """Run the messages in `sent`, and those that their jobs send, until none is left."""
        ended = []
        while self.sent:
            message = self.sent.pop(0)
            actor = self.get_actor(message.actor_name)
            job = Job(UUID(message.message_id), payload=json.loads(payload_of(message, actor.options)))
            most = attempts_of(actor.options, message.options.get("max_retries"))
            ended.append(_run(self, actor, job, most or 1))
        return ended

    def open_event_loop(self) -> None:
        """Start the thread that runs async actors; a worker does so at boot. It runs until the broker is closed."""
        if get_event_loop_thread() is None:
            self._loops.before_worker_boot(self, None)  # type: ignore[arg-type]  # it does not use the worker

    def close(self) -> None:
        """End the thread of async actors, if there is one."""
        if get_event_loop_thread() is not None:
            self._loops.after_worker_shutdown(self, None)  # type: ignore[arg-type]  # as above


class _ActorOptions(Middleware):
    @property
    def actor_options(self) -> set[str]:
        return set(ACTOR_OPTIONS)


def connect_testing_broker() -> TestingBroker:
    """Make a broker without stores Dramatiq's current one. From now on `connect_broker()` returns it.

    Reads no `.env` and opens no connection. A second call makes a new broker, which has no actors yet.
    """
    if isinstance(brokers.stand_in, TestingBroker):
        brokers.stand_in.close()
    brokers.stand_in = broker = TestingBroker()
    dramatiq.set_broker(broker)
    return broker


def run_job(
    actor: "Actor[Any, Any]",
    payload: Mapping[str, Any] | None = None,
    *,
    prompt: str | None = None,
    session_id: UUID | None = None,
    priority: int = 0,
    max_retries: int | None = None,
) -> Ended:
    """Run a job of `actor` here, attempt after attempt, until it has ended.

    `payload` is that of the row; for a plain Dramatiq actor it is `{"args": [...], "kwargs": {...}}`. `max_retries` is
    the number of all attempts, as in the row; None takes the actor's. Raises PayloadError for a payload that is not a
    JSON object.
    """
    broker = actor.broker
    if not isinstance(broker, TestingBroker):
        raise TypeError(
            f"{actor.actor_name!r} belongs to another broker: call connect_testing_broker() before importing it"
        )
    stored = json.loads(to_json(payload if payload is not None else {}, "payload"))
    if not isinstance(stored, dict):
        raise PayloadError("the payload must be an object")
    most = max_retries if max_retries is not None else attempts_of(actor.options)
    return _run(broker, actor, Job(uuid4(), session_id, prompt, stored, priority), most or 1)


def _run(broker: TestingBroker, actor: "Actor[Any, Any]", job: Job, most: int) -> Ended:
    broker.open_event_loop()
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


def _run_attempt(broker: TestingBroker, actor: "Actor[Any, Any]", job: Job, attempt: Attempt) -> Report:
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
    broker: TestingBroker,
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

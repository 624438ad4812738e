"""Actors in tests, without stores: a job runs to its end in the thread that asks for it.

Call `connect_testing_broker()` before the actors package is imported, in the tests' `conftest.py`; then
`run_job(actor, payload)`. What belongs to the fleet has no place here: claims, leases, time limits, and the waits
before retries, which are reported and not waited for.
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

_NOWHERE = "redis://127.0.0.1:9/0"  # never opened


@dataclass(frozen=True)
class Ended:
    """A job after its last attempt here, as its row would be.

    `status` is completed, failed or cancelled, or pending when the last attempt was handed back. `result` has been
    through JSON. `error` is the last failure's text; `errors` has one for each failed attempt, and `waits` the time to
    the next attempt where the actor chose it. `events` are what `job.emit()` was given, as (type, data).
    """

    status: Status
    result: Any = None
    error: str | None = None
    attempts: int = 0
    errors: Sequence[str] = ()
    waits: Sequence[timedelta | None] = ()
    events: Sequence[tuple[str, Any]] = ()


class TestingBroker(FleetBroker):
    """Knows actors as the broker of a worker does. `.send()` only puts the message into `sent`."""

    __test__ = False  # pytest takes each Test… for a class of tests

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
        """Keep the message. Raises DirectSendError for what cannot be a job, ActorNotFound for no actor of ours."""
        payload_of(message, self.get_actor(message.actor_name).options)
        self.emit_before("enqueue", message, delay)
        self.sent.append(message)
        self.emit_after("enqueue", message, delay)
        return message

    def run_sent(self) -> list[Ended]:
        """Run what was sent, and what those jobs send in turn, until nothing is left."""
        ended = []
        while self.sent:
            message = self.sent.pop(0)
            actor = self.get_actor(message.actor_name)
            job = Job(UUID(message.message_id), payload=json.loads(payload_of(message, actor.options)))
            most = attempts_of(actor.options, message.options.get("max_retries"))
            ended.append(_run(self, actor, job, most or 1))
        return ended

    def open_event_loop(self) -> None:
        """Async actors run in a thread that a worker starts at boot. Here it stays until the broker is closed."""
        if get_event_loop_thread() is None:
            self._loops.before_worker_boot(self, None)  # type: ignore[arg-type]  # it asks for no worker

    def close(self) -> None:
        """End the thread of async actors, if there is one."""
        if get_event_loop_thread() is not None:
            self._loops.after_worker_shutdown(self, None)  # type: ignore[arg-type]  # as above


class _ActorOptions(Middleware):
    @property
    def actor_options(self) -> set[str]:
        return set(ACTOR_OPTIONS)


def connect_testing_broker() -> TestingBroker:
    """Make a broker without stores Dramatiq's current one; `connect_broker()` in an actors package gives it from now.

    Reads no `.env`, opens no connection. Called again it gives a new one, which knows no actors yet.
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

    `payload` is the row's: of a plain Dramatiq actor `{"args": [...], "kwargs": {...}}`. `max_retries` are attempts
    in all, as in the row; None leaves it to the actor. Raises PayloadError for a payload that is no JSON object.
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
        attempt = Attempt(now, uuid4(), actor.queue_name, actor.actor_name, number == most)
        report = _run_attempt(broker, actor, attempt)
        if isinstance(report, Failed):
            record.errors.append(report.error)
            if not report.final and number < most:
                record.waits.append(report.delay)
                continue
        return record.ended(report, number)
    raise ValueError("max_retries must be at least 1: it counts attempts")


@dataclass
class _Record:
    errors: list[str] = field(default_factory=list)
    waits: list[timedelta | None] = field(default_factory=list)
    events: list[tuple[str, Any]] = field(default_factory=list)

    def emit(self, event_type: str, data: Mapping[str, Any]) -> None:
        self.events.append((event_type, json.loads(to_json(data, "event's data"))))

    def ended(self, report: Report, attempts: int) -> Ended:
        told = Ended(
            Status.PENDING, attempts=attempts, errors=self.errors, waits=self.waits, events=self.events,
            error=self.errors[-1] if self.errors else None,
        )  # fmt: skip
        match report:
            case Completed():
                result = None if report.result is None else json.loads(report.result)
                return replace(told, status=Status.COMPLETED, result=result)
            case Failed():
                return replace(told, status=Status.FAILED)
            case Cancelled():
                return replace(told, status=Status.CANCELLED, error=report.error)
            case _:
                return told


def _run_attempt(broker: TestingBroker, actor: "Actor[Any, Any]", attempt: Attempt) -> Report:
    job = attempt.job
    message = MessageProxy(
        Message(queue_name=actor.queue_name, actor_name=actor.actor_name, args=(), kwargs={}, options={})
    )
    try:
        message.args, message.kwargs, options = _call_of(actor, job)
    except ValueError as error:
        return Failed(f"bad payload: {error}", final=True)
    message.options.update(options)
    message.__dict__["message_id"] = str(job.id)
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
    except KeyboardInterrupt:  # somebody ends the tests
        raise
    except BaseException as error:  # noqa: BLE001 -- as a worker takes it
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
    """Raises ValueError for a payload that is no call of a plain actor."""
    return ((job,), {}, {}) if actor.options.get("takes_job") else plain_call(job.payload)

"""The broker that stands in for a worker's in tests: it knows no stores, and keeps what is sent."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import dramatiq
from dramatiq import Actor, Message, Middleware
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import AgeLimit, CurrentMessage, ShutdownNotifications, TimeLimit

from bridge import broker as brokers
from bridge.broker import FleetBroker
from bridge.errors import PayloadError
from bridge.job import Job
from bridge.postgres.actor_options import attempts_of
from bridge.postgres.json_text import to_json
from bridge.postgres.sender import payload_of
from bridge.settings import Settings
from bridge.testing.attempts import Ended, run_attempts
from bridge.transport.client import connect_redis
from bridge.worker.event_loop import JobAsyncIO
from bridge.worker.middleware import ACTOR_OPTIONS

_NOWHERE = "redis://127.0.0.1:9/0"  # no connection is ever opened to it


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
            self.open_event_loop()
            ended.append(run_attempts(self, actor, job, most or 1))
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
    broker.open_event_loop()
    return run_attempts(broker, actor, Job(uuid4(), session_id, prompt, stored, priority), most or 1)

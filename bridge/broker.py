"""`connect_broker()`: builds the broker of an actors package, with everything that its worker needs."""

import sys
from typing import Any

import dramatiq
import dramatiq.broker
from dramatiq import Message, Middleware
from dramatiq.middleware import (
    AgeLimit,
    AsyncIO,
    Callbacks,
    CurrentMessage,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)

from bridge.errors import SettingsError
from bridge.postgres.sender import Sender
from bridge.settings import Settings, load_settings
from bridge.transport.client import Client, connect_redis
from bridge.transport.job_broker import JobBroker
from bridge.worker.event_loop import JobAsyncIO
from bridge.worker.interrupt_guard import InterruptGuard
from bridge.worker.middleware import JobMiddleware
from bridge.worker.watched import Watched

stand_in: "FleetBroker | None" = None  # `connect_broker()` returns it instead of a new one; set by bridge.testing

# What these middleware of Dramatiq do, this broker does already: they are not added a second time.
_INCLUDED = (AsyncIO, Callbacks, Pipelines, CurrentMessage)
_FIRST: tuple[type[Middleware], ...] = (Watched, JobMiddleware)
_REPLACEABLE = (AgeLimit, ShutdownNotifications)  # they have options: who adds one wants it in the place of ours


class FleetBroker(JobBroker):
    """The broker of an actors package; `settings` are those it was connected with."""

    _is_complete = False  # has the middleware it was made with

    def __init__(
        self, client: Client, *, settings: Settings, namespace: str = "mobvibe", middleware: list[Middleware]
    ) -> None:
        super().__init__(client, namespace=namespace, middleware=middleware)
        self.settings = settings
        self._sender = Sender(settings.postgres_dsn())
        self._is_complete = True

    def add_middleware(self, middleware: Middleware, **where: Any) -> None:
        """Add a middleware as Dramatiq does, but ignore one whose work this broker does already.

        AgeLimit and ShutdownNotifications replace the broker's own. Raises SettingsError for Retries.
        """
        kind = type(middleware)
        if kind is Retries:
            raise SettingsError(
                "Dramatiq's Retries has no place on this broker: retries are counted and timed in Postgres. Leave it "
                "out, and say max_retries, min_backoff, max_backoff or retry_when on each actor"
            )
        if kind in _INCLUDED and self._is_complete:
            return
        for place, one in enumerate(self.middleware):
            if type(one) is kind and kind in _REPLACEABLE:
                self.middleware[place] = middleware
                self._hooks.clear()
                return
        super().add_middleware(middleware, **where)
        # Instrumentation inserts itself before all others, where a message has not become a job yet: move ours back
        # to the front.
        self.middleware.sort(key=_place)
        self._hooks.clear()

    def enqueue(self, message: "Message[Any]", *, delay: int | None = None) -> "Message[Any]":
        """Insert a message as a job, in a transaction of its own. `.send()` ends here.

        Raises DirectSendError for a message that cannot be a job, StoreUnavailableError when Postgres does not
        accept it.
        """
        actor = self.actors.get(message.actor_name)
        self.emit_before("enqueue", message, delay)
        self._sender.send(message, actor.options if actor else {}, actor.priority if actor else 0, delay)
        self.emit_after("enqueue", message, delay)
        return message

    def close(self) -> None:
        self._sender.close()
        super().close()


def _place(middleware: Middleware) -> int:
    """Sort key: ours first, the others in the order they were added."""
    kind = type(middleware)
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def connect_broker(settings: Settings | None = None) -> FleetBroker:
    """Read the settings and make our broker Dramatiq's current one. Opens no connection.

    Call it in the `__init__` of an actors package, before the modules that declare actors are imported.
    A setting that is missing or malformed ends the program with one line and exit code 1.

    In tests, after `connect_testing_broker()` (bridge.testing), it returns that broker and reads no settings.
    """
    if stand_in is not None and settings is None:
        return stand_in
    try:
        settings = settings or load_settings()
        settings.postgres_dsn()  # raises for an address that cannot be used
        client = connect_redis(settings.redis_address(), namespace=settings.redis_namespace)
    except SettingsError as error:
        if "pytest" in sys.modules:  # pytest reports a SystemExit at import as an internal error
            raise SettingsError(f"{error}. In tests that need no stores: bridge.testing") from None
        raise SystemExit(f"mobvibe: {error}") from None
    job_middleware = JobMiddleware(settings)
    broker = FleetBroker(
        client,
        settings=settings,
        namespace=settings.redis_namespace,
        # The order matters: Dramatiq runs before-hooks from first to last, after-hooks from last to first.
        # Watched has no hooks for messages. Its after-hook at boot needs the logging that JobMiddleware's sets up.
        # JobMiddleware is the first with hooks for messages: its after-hook must run when TimeLimit is off again, and
        # must see each job that another middleware skips after JobMiddleware has started it.
        # InterruptGuard is last: it opens and closes directly around the actor.
        middleware=[
            Watched(settings),
            job_middleware,
            AgeLimit(),
            TimeLimit(time_limit=settings.job_timeout_ms),
            ShutdownNotifications(),
            CurrentMessage(),
            JobAsyncIO(job_middleware.end_process),
            InterruptGuard(lambda: job_middleware.process.runs),
        ],
    )
    dramatiq.set_broker(broker)
    return broker


def connected_settings() -> Settings:
    """The settings that `connect_broker()` read. Raises RuntimeError before it was called."""
    broker = dramatiq.broker.global_broker
    if not isinstance(broker, FleetBroker):
        raise RuntimeError("no broker of ours: call connect_broker() (from bridge.broker) first")
    return broker.settings

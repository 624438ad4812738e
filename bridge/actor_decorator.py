"""`@actor`: a Dramatiq actor that is given its job."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import dramatiq
import dramatiq.broker

from bridge.job import Job

R = TypeVar("R")
JobFunction = Callable[[Job], R] | Callable[[Job], Awaitable[R]]


@overload
def actor(fn: Callable[[Job], Awaitable[R]]) -> "dramatiq.Actor[[Job], R]": ...
@overload
def actor(fn: Callable[[Job], R]) -> "dramatiq.Actor[[Job], R]": ...
@overload
def actor(
    *,
    queue_name: str = ...,
    max_retries: int = ...,
    time_limit: float = ...,
    actor_name: str | None = ...,
    **options: Any,
) -> "Callable[[JobFunction[Any]], dramatiq.Actor[[Job], Any]]": ...
def actor(
    fn: Any = None,
    *,
    queue_name: str = "default",
    max_retries: int = 3,
    time_limit: float = 600_000,
    actor_name: str | None = None,
    **options: Any,
) -> Any:
    """Declare an actor: a function of one Job, sync or async, whose return value is stored in `result`.

    Any exception is a failed attempt; `Fail` ends the job, `Retry(delay=…)` chooses the wait. `max_retries`
    is how many attempts a job of this actor gets unless its row says otherwise; `time_limit` is in
    milliseconds. Call `connect_broker()` before declaring actors.
    """
    if global_broker() is None:
        raise RuntimeError("no broker yet: call connect_broker() (from bridge.broker) before declaring actors")

    def declare(function: Callable[[Job], Any]) -> "dramatiq.Actor[[Job], Any]":
        decorate: Callable[[Callable[[Job], Any]], dramatiq.Actor[[Job], Any]] = dramatiq.actor(
            actor_name=actor_name or function.__name__,
            queue_name=queue_name,
            max_retries=max_retries,
            time_limit=time_limit,
            takes_job=True,
            **options,
        )
        return decorate(function)

    return declare if fn is None else declare(fn)


def global_broker() -> dramatiq.Broker | None:
    """The broker in use, without making one up as dramatiq.get_broker() does."""
    return dramatiq.broker.global_broker

"""`@actor`: declares a Dramatiq actor that receives its Job."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import dramatiq
import dramatiq.broker

from bridge.job import Job

R = TypeVar("R")
JobFunction = Callable[[Job], R] | Callable[[Job], Awaitable[R]]

_MAX_RETRIES = 3  # attempts, as many as the table gives a job whose INSERT and actor do not say


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
    max_retries: int = _MAX_RETRIES,
    time_limit: float | None = None,
    actor_name: str | None = None,
    **options: Any,
) -> Any:
    """Declare an actor: a function of one Job, sync or async, whose return value is stored in `result`.

    Any exception fails the attempt; `Fail` fails the job, `Retry(delay=…)` sets the wait before the next attempt.
    `max_retries` is the number of attempts of a job whose row does not set it; `time_limit` of one attempt is in
    milliseconds, by default JOB_TIMEOUT_MS. Raises RuntimeError before `connect_broker()` was called.
    """
    if global_broker() is None:
        raise RuntimeError("no broker yet: call connect_broker() (from bridge.broker) before declaring actors")

    if time_limit is not None:
        options["time_limit"] = time_limit

    def declare(function: Callable[[Job], Any]) -> "dramatiq.Actor[[Job], Any]":
        decorate: Callable[[Callable[[Job], Any]], dramatiq.Actor[[Job], Any]] = dramatiq.actor(
            actor_name=actor_name or function.__name__,
            queue_name=queue_name,
            max_retries=max_retries,
            takes_job=True,
            **options,
        )
        return decorate(function)

    return declare if fn is None else declare(fn)


def global_broker() -> dramatiq.Broker | None:
    """The broker in use, or None; dramatiq.get_broker() would create one."""
    return dramatiq.broker.global_broker

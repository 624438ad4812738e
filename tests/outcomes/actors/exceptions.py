"""Actors that raise, each exception by a sync and by an async actor."""

import asyncio
import socket
from collections.abc import Callable

import dramatiq
from dramatiq.errors import RateLimitExceeded
from dramatiq.errors import Retry as DramatiqsRetry

from bridge import Fail, Job, Retry, actor


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class UntextualError(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307 -- that is what is tried


class UnpicklableError(Exception):
    def __init__(self, text: str, handle: object) -> None:
        super().__init__(text)
        self.handle = handle

    def __reduce__(self) -> str:
        raise TypeError("cannot be pickled")


class DirectError(BaseException):
    """Not an Exception, as KeyboardInterrupt is not."""


def _cycle() -> BaseException:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def _deep() -> BaseException:
    def down(n: int) -> int:
        return down(n + 1) + 1

    try:
        down(0)
    except RecursionError as error:
        return error
    raise AssertionError("no limit")


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("a reason"),
    "Fail": lambda: Fail("there is no point"),
    "Retry": lambda: Retry("not yet", delay=0),
    "dramatiq Retry": lambda: DramatiqsRetry("not yet", delay=0),
    "RateLimitExceeded": lambda: RateLimitExceeded("too fast"),
    "BaseException": lambda: DirectError("direct"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration("over"),
    "CancelledError": asyncio.CancelledError,
    "ExceptionGroup": lambda: ExceptionGroup("two", [ValueError("one"), KeyError("other")]),
    "a Fail in a group": lambda: ExceptionGroup("two", [ValueError("one"), Fail("there is no point")]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("two", [DirectError("one"), SystemExit(3)]),
    "unpicklable": lambda: UnpicklableError("keep it", socket.socketpair()),
    "__str__ raises": UnspeakableError,
    "__str__ gives no text": UntextualError,
    "50 MB of text": lambda: ValueError("x" * 50_000_000),
    "control characters": lambda: ValueError("\x1b[31mred\x00\x07 \u202eback\ud800"),
    "its own cause": _cycle,
    "RecursionError": _deep,
    "MemoryError": MemoryError,
    "an object that is not an exception": lambda: 7,  # type: ignore[dict-item,return-value]  # `raise 7`
}


def make(exception: str) -> BaseException:
    return EXCEPTIONS[exception]()


@actor(max_retries=2)
def raises(job: Job) -> None:
    raise make(job.payload["exception"])


@actor(max_retries=2)
async def raises_async(job: Job) -> None:
    await asyncio.sleep(0)
    raise make(job.payload["exception"])


@dramatiq.actor(max_retries=2)
def plain_raises(exception: str) -> None:
    raise make(exception)


@dramatiq.actor(max_retries=2, throws=KeyError)
def expects() -> None:
    raise KeyError("expected")


@actor(max_retries=2)
def sends_an_object(job: Job) -> None:
    plain_raises.send(object())  # type: ignore[arg-type]

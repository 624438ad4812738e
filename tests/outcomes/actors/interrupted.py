"""Actors that are interrupted: some end, some do not react."""

import asyncio
import time
from contextlib import suppress

from dramatiq.middleware import Interrupt

from bridge import Job, actor

_FOR_EVER = 3600.0


@actor(max_retries=2)
def waits(job: Job) -> None:
    _wait(_FOR_EVER)


@actor(max_retries=2)
async def waits_async(job: Job) -> None:
    await asyncio.sleep(_FOR_EVER)


@actor(max_retries=2)
def waits_at_first(job: Job) -> None:
    if job.fence == 1:
        _wait(_FOR_EVER)


@actor(max_retries=2)
async def waits_at_first_async(job: Job) -> None:
    if job.fence == 1:
        await asyncio.sleep(_FOR_EVER)


@actor(max_retries=2, time_limit=300)
def waits_too_long(job: Job) -> None:
    _wait(_FOR_EVER)


@actor(max_retries=2, time_limit=300)
async def waits_too_long_async(job: Job) -> None:
    await asyncio.sleep(_FOR_EVER)


@actor(max_retries=2)
def cleans_up_slowly(job: Job) -> None:
    try:
        _wait(_FOR_EVER)
    except Interrupt:
        time.sleep(1)
        raise


@actor(max_retries=2)
async def cleans_up_slowly_async(job: Job) -> None:
    try:
        await asyncio.sleep(_FOR_EVER)
    except asyncio.CancelledError:
        await asyncio.sleep(1)
        raise


@actor(max_retries=2)
def does_not_react(job: Job) -> None:
    while True:
        with suppress(BaseException):
            _wait(_FOR_EVER)


@actor(max_retries=2)
async def does_not_react_async(job: Job) -> None:
    while True:
        with suppress(BaseException):
            await asyncio.sleep(_FOR_EVER)


@actor(max_retries=2, time_limit=300)
def sits_in_a_call(job: Job) -> None:
    """No exception reaches a thread inside a call of the operating system."""
    time.sleep(_FOR_EVER)


@actor(max_retries=2, time_limit=300)
async def blocks_the_loop(job: Job) -> None:
    time.sleep(_FOR_EVER)  # noqa: ASYNC251 -- that is what is tried


@actor(max_retries=2)
def swallows_and_returns(job: Job) -> dict[str, bool]:
    """Swallows the interrupt and returns: the job completes, because its work is done."""
    with suppress(Interrupt):
        _wait(_FOR_EVER)
    return {"done": True}


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.02)

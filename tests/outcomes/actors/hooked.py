"""Actors around which a middleware misbehaves: their payload says what each hook does."""

import asyncio

from dramatiq.middleware import SkipMessage

from bridge import Job, actor


@actor(max_retries=2)
def hooked(job: Job) -> dict[str, bool]:
    if job.payload.get("fail"):
        raise ValueError("a reason")
    return {"done": True}


@actor(max_retries=2)
async def hooked_async(job: Job) -> dict[str, bool]:
    await asyncio.sleep(0)
    if job.payload.get("fail"):
        raise ValueError("a reason")
    return {"done": True}


@actor(max_retries=2)
def skips_itself(job: Job) -> None:
    raise SkipMessage("not today")


@actor(max_retries=2)
async def skips_itself_async(job: Job) -> None:
    raise SkipMessage("not today")

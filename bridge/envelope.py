"""Claim → Redis message, and Redis message → (job id, fence). The two sides stand side by side.

A message says which job and which attempt, and nothing else of the job: prompt and payload stay in Postgres
and come back from the start call. So a forged or stale message has nothing to say.
"""

import time
from typing import Any
from uuid import UUID

from dramatiq import Message
from dramatiq.errors import DecodeError

from bridge.errors import BadMessageError
from bridge.job import Claim

# Dramatiq acts on options (delays, pipes, callbacks, limits). None of them is a message's to decide here.
_ALLOWED_OPTIONS = frozenset({"redis_message_id"})


def message_id(job_id: UUID, fence: int) -> str:
    """One id for one hand-over of one attempt: publishing it twice is publishing it once."""
    return f"{job_id}:{fence}"


def seal(claim: Claim) -> "Message[None]":
    """The message that hands `claim` over."""
    name = message_id(claim.job_id, claim.fence)
    return Message(
        queue_name=claim.queue,
        actor_name=claim.actor,
        args=(str(claim.job_id), claim.fence),
        kwargs={},
        options={"redis_message_id": name},
        message_id=name,
        message_timestamp=int(time.time() * 1000),
    )


def unseal(data: bytes, queue_name: str) -> "Message[None]":
    """The message in `data`, taken from `queue_name`. Raises BadMessageError for anything `seal` cannot make."""
    try:
        message: Message[None] = Message.decode(data)
    except DecodeError as error:
        raise BadMessageError("undecodable", str(error.error)[:200]) from None
    fields: Any = message  # decoded from anything: the declared types are a hope
    if not (
        isinstance(fields.options, dict) and isinstance(fields.message_id, str) and isinstance(fields.actor_name, str)
    ):
        raise BadMessageError("malformed")
    read_claim(message)
    # Dramatiq's worker thread looks its consumer up by this name and dies when there is none.
    if message.queue_name != queue_name:
        raise BadMessageError("wrong_queue", f"says {str(message.queue_name)[:80]!r}")
    if strange := set(message.options) - _ALLOWED_OPTIONS:
        raise BadMessageError("strange_options", ", ".join(sorted(map(str, strange)))[:80])
    return message


def read_claim(message: "Message[None]") -> tuple[UUID, int]:
    """The job and the fence that a message names. Raises BadMessageError when it names none."""
    try:
        job_id, fence = message.args
        if not isinstance(job_id, str) or type(fence) is not int or fence < 1 or message.kwargs:
            raise ValueError
        job = UUID(job_id)
    except (ValueError, TypeError):
        raise BadMessageError("no_claim") from None
    if message.options.get("redis_message_id") != message.message_id or message.message_id != message_id(job, fence):
        raise BadMessageError("wrong_id")
    return job, fence

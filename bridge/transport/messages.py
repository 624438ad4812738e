"""Claims → one Redis message, and a Redis message → the (job id, fence) of each. Both directions are here.

A message names jobs and attempts and nothing else of a job: prompt and payload stay in Postgres, and the start call
returns them. So a forged or stale message cannot make a worker do anything wrong. Short jobs of one actor share a
message; each is still started, fenced and settled by itself.

The id of a message is "<job id>:<fence>" of its first job and a suffix: empty for one job, "+n" for n more jobs than
the first, "!" for one job that runs isolated, "!!" for one that runs isolated to its end. The scripts in lua/ read
these ids too: a change here needs the same change in lua/_ours.lua (`mark_of`).
"""

import json
import re
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from dramatiq import Message
from dramatiq.errors import DecodeError

from bridge.errors import BadMessageError
from bridge.job import Claim

# In one message. A bridge puts in half as many at most (throughput.py); a message with more is not ours.
JOBS_MOST = 100
# Jobs in one batch, which one process runs isolated: they are short when a batch is that large (throughput.py).
SUSPECTS_MOST = 64
_FENCE_MOST = 2**63 - 1  # Postgres' bigint
# Dramatiq acts on options (delays, pipes, callbacks, limits). A message must not decide any of them here.
_ALLOWED_OPTIONS = frozenset({"redis_message_id"})
_MORE, _ISOLATED, _ISOLATED_UNTIL_END = "+", "!", "!!"  # the suffixes
_OUR_ID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}:[0-9]+([+!]?[0-9!]*)")


def message_id(claim: Claim, more: int = 0) -> str:
    """The same id each time a hand-over is published, so twice does no harm. `more`: jobs after the first."""
    return f"{claim.job_id}:{claim.fence}{f'{_MORE}{more}' if more else _suffix(claim)}"


def _suffix(claim: Claim) -> str:
    """For a message with one job."""
    if claim.isolated_until_end:
        return _ISOLATED_UNTIL_END
    return _ISOLATED if claim.isolated else ""


def is_isolated(redis_id: str) -> bool:
    return redis_id.endswith(_ISOLATED)


def is_isolated_until_end(redis_id: str) -> bool:
    return redis_id.endswith(_ISOLATED_UNTIL_END)


def suffix_of(redis_id: bytes) -> bytes | None:
    """The suffix of an id of ours, often empty; None when the message is another application's."""
    found = _OUR_ID.fullmatch(redis_id)
    return found[1] if found else None


def seal(claims: Sequence[Claim]) -> tuple[str, str]:
    """The message that hands `claims` over, which share queue and actor: its id and its JSON text.

    Not made by the JSON encoder, which would dominate the cost of a short job.
    """
    first = claims[0]
    name = message_id(first, len(claims) - 1)
    now_ms = int(time.time() * 1000)
    args = ",".join([f'"{claim.job_id}",{claim.fence}' for claim in claims])
    return name, (
        f'{{"queue_name":{_quoted(first.queue)},"actor_name":{_quoted(first.actor)},"args":[{args}],"kwargs":{{}},'
        f'"options":{{"redis_message_id":"{name}"}},"message_id":"{name}","message_timestamp":{now_ms}}}'
    )


@lru_cache(maxsize=1000)
def _quoted(name: str) -> str:
    return json.dumps(name)


def unseal(data: bytes, queue_name: str, redis_id: str) -> tuple[str, list[tuple[UUID, int]]]:
    """The actor, and the jobs with their fences, that `data` names, taken from `queue_name` under `redis_id`.

    Raises BadMessageError for anything `seal` cannot make.
    """
    try:
        message: Message[None] = Message.decode(data)
    except DecodeError as error:
        raise BadMessageError("undecodable", str(error.error)[:200]) from None
    fields: Any = message  # decoded from anything: its values may have other types than declared
    if not (
        isinstance(fields.options, dict) and isinstance(fields.message_id, str) and isinstance(fields.actor_name, str)
    ):
        raise BadMessageError("malformed")
    # Dramatiq's worker thread finds the consumer by this name, and dies when there is none.
    if message.queue_name != queue_name:
        raise BadMessageError("wrong_queue", f"says {str(message.queue_name)[:80]!r}")
    if strange := set(message.options) - _ALLOWED_OPTIONS:
        raise BadMessageError("strange_options", ", ".join(sorted(map(str, strange)))[:80])
    if not message.options.get("redis_message_id") == message.message_id == redis_id:
        raise BadMessageError("wrong_id")
    return _read_claims(message)


def _read_claims(message: "Message[None]") -> tuple[str, list[tuple[UUID, int]]]:
    args = message.args
    try:
        ids, fences = args[::2], args[1::2]
        if not 0 < len(ids) == len(fences) <= JOBS_MOST or message.kwargs != {}:
            raise ValueError
        if any(type(fence) is not int or not 0 < fence <= _FENCE_MOST for fence in fences) or any(
            type(text) is not str for text in ids
        ):
            raise ValueError
        jobs = [UUID(text) for text in ids]
    except (ValueError, TypeError):
        raise BadMessageError("no_claim") from None
    suffixes = (f"{_MORE}{len(ids) - 1}",) if len(ids) > 1 else ("", _ISOLATED, _ISOLATED_UNTIL_END)
    if message.message_id not in [f"{ids[0]}:{fences[0]}{suffix}" for suffix in suffixes]:
        raise BadMessageError("wrong_id")
    return message.actor_name, list(zip(jobs, fences, strict=True))

"""Keys of ours that have another type because another application wrote them. We name them and do not delete them."""

from collections.abc import Mapping
from typing import Any

from redis import exceptions as theirs

from bridge.errors import RedisUnavailableError, WrongKeyError
from bridge.transport.client import Client, translate_redis_errors
from bridge.transport.names import Names

# Type → a read that our ACL rule allows, and that fails on any other type.
_READS = {"list": "LLEN", "hash": "HLEN", "set": "SCARD", "zset": "ZCARD", "string": "GET"}


def namespace_keys(names: Names) -> dict[str, str]:
    """Key → the type it must have: the keys that a namespace has once."""
    return {names.owner: "string", names.epoch: "string", names.heartbeats: "zset"}


def keys_of(names: Names, queue: str) -> dict[str, str]:
    """Key → the type it must have: the keys of one queue."""
    return {
        names.waiting(queue): "list", names.payloads(queue): "hash",
        names.priorities(queue): "hash", names.dead(queue): "zset", names.dead_payloads(queue): "hash",
    }  # fmt: skip


def wrong_keys(client: Client, keys: Mapping[str, str]) -> dict[str, str]:
    """Those of `keys` that exist with another type. Raises RedisUnavailableError."""
    with translate_redis_errors():
        pipeline: Any = client.pipeline(transaction=False)
        for key, kind in keys.items():
            pipeline.execute_command(_READS[kind], key)
        answers = pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, theirs.RedisError) and "WRONGTYPE" not in str(answer):
                raise answer
    wrong = [isinstance(answer, theirs.RedisError) for answer in answers]
    return {key: kind for (key, kind), is_wrong in zip(keys.items(), wrong, strict=True) if is_wrong}


def in_a_line(wrong: Mapping[str, str]) -> str:
    return ", ".join(f"the key {key!r} is not a {kind}" for key, kind in wrong.items())


def way_out(wrong: Mapping[str, str]) -> str:
    key = next(iter(wrong))
    return (
        f"another application wrote it: check it, then RENAME {key} NEW-NAME or DEL {key} in redis-cli, or give "
        "the bridge a namespace of its own: REDIS_NAMESPACE=…"
    )


def named(error: WrongKeyError, client: Client, keys: Mapping[str, str]) -> WrongKeyError:
    """The same error, naming the key when it is one of `keys`."""
    try:
        wrong = wrong_keys(client, keys)
    except RedisUnavailableError:
        return error
    return WrongKeyError(f"{in_a_line(wrong)}; {way_out(wrong)}", error.queues) if wrong else error

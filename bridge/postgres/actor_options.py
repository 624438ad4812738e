"""What an actor's options are in the rows of its jobs: how many attempts, and a plain Dramatiq actor's call.

Those who write rows and the workers that read them agree here. A plain actor counts as Dramatiq does: retries.
"""

from collections.abc import Mapping
from typing import Any

_PLAIN_RETRIES = 20  # of an actor without the option: Dramatiq's default
_UNBOUNDED = 1_000_000  # attempts, if the actor's `retry_when` decides, or with `max_retries=None`


def attempts_of(options: Mapping[str, Any], max_retries: Any = None) -> int | None:
    """How many attempts a job gets in all, from its actor's `options`; None: the table's default.

    `max_retries` is the option of a single message to a plain actor.
    """
    if options.get("takes_job"):
        return max_retries if max_retries is not None else options.get("max_retries")
    if max_retries is None:
        if options.get("retry_when") is not None:
            return _UNBOUNDED
        max_retries = options.get("max_retries", _PLAIN_RETRIES)
    return _UNBOUNDED if max_retries is None else min(max(0, int(max_retries)) + 1, _UNBOUNDED)


def plain_call(payload: Any) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """The args, kwargs and message options in a plain actor's payload. Raises ValueError for anything else."""
    if not isinstance(payload, dict):
        raise ValueError("it must be an object")
    args, kwargs = payload.get("args", []), payload.get("kwargs", {})
    if not isinstance(args, list):
        raise ValueError("'args' must be a list")
    if not isinstance(kwargs, dict):
        raise ValueError("'kwargs' must be an object")
    options = payload.get("options", {})
    if not isinstance(options, dict) or "redis_message_id" in options:
        raise ValueError("'options' must be an object: Dramatiq's options")
    if strange := set(payload) - {"args", "kwargs", "options"}:
        raise ValueError(f"a plain actor takes 'args' and 'kwargs' only, not {', '.join(sorted(strange))}")
    return tuple(args), kwargs, options

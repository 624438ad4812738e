"""An actor's own options, of its jobs. A plain Dramatiq actor counts as Dramatiq does: retries, not attempts."""

from collections.abc import Mapping
from typing import Any

_PLAIN_RETRIES = 20  # of an actor that does not say: Dramatiq's default
_UNBOUNDED = 1_000_000  # attempts, where the actor's `retry_when` decides, or `max_retries=None` was said


def attempts_of(options: Mapping[str, Any], max_retries: Any = None) -> int | None:
    """How many attempts a job gets in all, by its actor's `options`; None leaves it to the table's default.

    `max_retries` is what was said for one message of a plain actor.
    """
    if options.get("takes_job"):
        return max_retries if max_retries is not None else options.get("max_retries")
    if max_retries is None:
        if options.get("retry_when") is not None:
            return _UNBOUNDED
        max_retries = options.get("max_retries", _PLAIN_RETRIES)
    return _UNBOUNDED if max_retries is None else min(max(0, int(max_retries)) + 1, _UNBOUNDED)

"""What the schema one version older than ours lacks: it is supported, so that a deployment can be rolled back."""

from collections.abc import Callable
from typing import TypeVar

from bridge.errors import SchemaError

T = TypeVar("T")


def unless_missing(ask: Callable[[], T]) -> T | None:
    """What `ask` returns; None where the database lacks what it asks for."""
    try:
        return ask()
    except SchemaError:
        return None

"""JSON and plain text in a form that Postgres stores: no NUL, no lone surrogates, no NaN."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.errors import PayloadError

NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")  # characters that Postgres has no place for


def to_json(value: Any, what: str) -> str:
    """`value` as JSON text. Raises PayloadError, which names it by `what`, if JSON cannot hold it."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        if "\\u0000" in text or "\\ud" in text:
            text = json.dumps(_storable(value), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(f"the {what} cannot be stored as JSON: {error}") from error
    return text


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object that a person wrote. Raises PayloadError, which says what is wrong with it."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise PayloadError("must be a JSON object")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"it has no {constant}")


def storable_text(text: str) -> str:
    """`text` with NUL as U+FFFD and lone surrogates as a question mark."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, Mapping):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_storable(item) for item in value]
    return value

"""What a request asks for that starts a coding session, and how one is refused."""

import hashlib
import json
import re
from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import UUID

from bridge.postgres.json_text import NOT_STORABLE
from bridge.snapshots.origin import Origin, OriginError, read_origin

PROMPT_LEAST, PROMPT_MOST = 10, 5000  # characters: refuses a prompt that was sent by accident, and bounds a row
KEY_MOST = 255  # characters: as elsewhere, and far more than a UUID needs
_KEY = re.compile(rf"[!-~]{{1,{KEY_MOST}}}")
UUID_TEXT = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


class RequestError(Exception):
    """A request that is not served: the text for the caller, the HTTP status, and when to try again."""

    def __init__(self, message: str, status: int = HTTPStatus.BAD_REQUEST, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Order(NamedTuple):
    """What a start request asks for."""

    project: UUID
    prompt: str
    origin: Origin | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """Of the job."""
        return self.origin.payload if self.origin else {}

    def hash(self) -> bytes:
        # A prompt holds no NUL, so no other order has the same text.
        asked = "".join(f"\0{part or ''}" for part in self.origin or ())
        return hashlib.sha256(f"{self.project}\n{self.prompt}{asked}".encode()).digest()


def read_key(given: str | None) -> str | None:
    """The Idempotency-Key of a request, if it has one. Raises RequestError for one that is malformed."""
    if given is not None and not _KEY.fullmatch(given):
        raise RequestError(f"Idempotency-Key must have 1 to {KEY_MOST} visible ASCII characters, and no space")
    return given


def read_order(body: bytes) -> Order:
    """Raises RequestError for a body that is no start request."""
    order = read_object(body, {"projectId", "prompt", "repository"})
    project = order.get("projectId")
    if not isinstance(project, str) or not UUID_TEXT.fullmatch(project):
        raise RequestError("Invalid project ID format", 422)
    prompt = read_text(order.get("prompt"), "Prompt", least=PROMPT_LEAST)
    try:
        origin = read_origin(order["repository"]) if "repository" in order else None
    except OriginError as error:
        raise RequestError(f"Invalid repository: {error}", 422) from None
    return Order(UUID(project), prompt, origin)


def read_object(body: bytes, fields: AbstractSet[str]) -> dict[str, Any]:
    """The JSON object in a body, with no other than these fields. Raises RequestError."""
    try:
        order = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise RequestError("Body is not valid JSON") from None
    if not isinstance(order, dict):
        raise RequestError("Body must be a JSON object")
    if unknown := sorted(set(order) - fields):
        raise RequestError(f"Unknown field: {', '.join(unknown)[:100]}", 422)
    return order


def read_text(text: Any, name: str, *, least: int) -> str:
    """A text of `least` to PROMPT_MOST characters that Postgres can store. Raises RequestError, which names it."""
    if not isinstance(text, str):
        raise RequestError(f"{name} is required", 422)
    if len(text.strip()) < least:
        raise RequestError(f"{name} must be at least {least} {'character' if least == 1 else 'characters'}", 422)
    if len(text) > PROMPT_MOST:
        raise RequestError(f"{name} must be at most {PROMPT_MOST} characters", 422)
    if NOT_STORABLE.search(text):
        raise RequestError(f"{name} contains characters that cannot be stored", 422)
    return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")

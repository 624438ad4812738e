"""What all addresses of the API share: how values are written, and how a request is refused."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from bridge.errors import BridgeError, PayloadError
from bridge.postgres.history import RangeError
from bridge.postgres.job_filter import FilterError
from bridge.postgres.job_list import PageError
from bridge.postgres.queue_pauses import QueueNameError

_NAMES: dict[type, str] = {str: "text", int: "a whole number", dict: "an object"}


class BodyError(BridgeError):
    """A body that cannot be read."""


def new_blueprint(name: str) -> Blueprint:
    """Addresses below /api that answer 400 with the reason to a request that cannot be read."""
    addresses = Blueprint(f"api_{name}", __name__, url_prefix="/api")
    for unreadable in (FilterError, PageError, QueueNameError, RangeError, PayloadError, BodyError):
        addresses.register_error_handler(unreadable, _refused)
    return addresses


def body(**kinds: type) -> dict[str, Any]:
    """The JSON object that is the body of the request; {} for no body.

    `kinds`: its possible names, each with the type of its value; `reason` is always possible. Raises BodyError.
    """
    asked = request.get_json(silent=True) if request.data else {}
    if not isinstance(asked, dict):
        raise BodyError('The body must be JSON such as {"reason": "…"}, or empty')
    known = kinds | {"reason": str}
    for name, value in asked.items():
        if name not in known:
            raise BodyError(f"{name[:100]!r} is not known here; there are {', '.join(known)}")
        if value is not None and (not isinstance(value, known[name]) or isinstance(value, bool)):
            raise BodyError(f"{name} must be {_NAMES[known[name]]}")
    return asked


def reason() -> str | None:
    """Why, as the body of the request says it. Raises BodyError."""
    return body().get("reason")


def plain(value: Any) -> Any:
    """A value of Postgres as JSON has it: times in ISO 8601 and UTC, durations in seconds, ids as text."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, UUID) else value


def _refused(error: Exception) -> ResponseReturnValue:
    return jsonify(success=False, error=str(error)), HTTPStatus.BAD_REQUEST

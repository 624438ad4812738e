"""What all addresses of the API share: how values are written, and how a request is refused."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from bridge.errors import BridgeError
from bridge.postgres.job_filter import FilterError
from bridge.postgres.job_list import PageError
from bridge.postgres.queue_pauses import QueueNameError


class BodyError(BridgeError):
    """A body that cannot be read."""


def new_blueprint(name: str) -> Blueprint:
    """Addresses below /api that answer 400 with the reason to a request that cannot be read."""
    addresses = Blueprint(f"api_{name}", __name__, url_prefix="/api")
    for unreadable in (FilterError, PageError, QueueNameError, BodyError):
        addresses.register_error_handler(unreadable, _refused)
    return addresses


def reason() -> str | None:
    """Why, as the body of the request says it. Raises BodyError."""
    asked = request.get_json(silent=True) if request.data else {}
    if not isinstance(asked, dict) or not isinstance(asked.get("reason", ""), str):
        raise BodyError('The body must be JSON such as {"reason": "…"}, or empty')
    return asked.get("reason")


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

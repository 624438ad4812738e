"""The sessions API of MobVibe's apps: start a coding session, and read its status and events."""

import json
import logging
import re
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from bridge.postgres.connection import Connection
from bridge.postgres.job_queue import enqueue
from bridge.postgres.json_text import NOT_STORABLE
from bridge.web.services import Services
from bridge.web.tokens import TokenError, read_user

logger = logging.getLogger(__name__)

ACTOR = "run_coding_session"
PROMPT_LEAST, PROMPT_MOST = 10, 5000  # characters: refuses a prompt that was sent by accident, and bounds a row
EVENTS_SHOWN = 1000  # the newest ones: all events of an ordinary session, and a bound for the size of an answer
_RETRY_SECONDS = 30  # a session takes minutes, so asking again sooner is in vain
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


class RequestError(Exception):
    """A request that is not served: the text for the caller, and the HTTP status."""

    def __init__(self, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("sessions", __name__, url_prefix="/functions/v1")
    pages.register_error_handler(RequestError, _refusal)
    secret = services.settings.supabase_jwt_secret

    def user() -> UUID:
        if secret is None:
            raise RequestError("Tokens cannot be checked: SUPABASE_JWT_SECRET is not set", 503)
        try:
            return read_user(request.headers.get("Authorization"), secret.get_secret_value())
        except TokenError as error:
            logger.info("Token refused", extra={"reason": str(error)})
            raise RequestError("Invalid or expired token", 401) from None

    @pages.post("/start-coding-session")
    def start_coding_session() -> tuple[Response, int]:
        owner = user()
        if request.content_encoding not in (None, "", "identity"):
            raise RequestError("Body must not be compressed", 415)
        body = request.get_data()
        if request.content_length is None and len(body) == request.max_content_length:
            raise RequestEntityTooLarge  # werkzeug cuts a body without a Content-Length there, and raises no error
        project, prompt = read_order(body)
        return jsonify(success=True, data=_start(services, owner, project, prompt)), 201

    @pages.get("/get-session-status")
    def get_session_status() -> Response:
        owner = user()
        session = _session_id(request.args.get("sessionId"))
        return jsonify(success=True, data=_status(services, owner, session))

    @pages.after_request
    def allow_other_origins(response: Response) -> Response:
        # Web builds of the app call from another origin. This is safe: a token is required, and cookies are not used.
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Allow-Headers"] = "authorization, x-client-info, apikey, content-type"
        return response

    return pages


def _refusal(error: RequestError) -> tuple[Response, int]:
    refused = jsonify(success=False, error=str(error))
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        refused.headers["Retry-After"] = str(_RETRY_SECONDS)
    return refused, error.status


def read_order(body: bytes) -> tuple[UUID, str]:
    """The project and the prompt of a start request. Raises RequestError for anything else."""
    try:
        order = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise RequestError("Body is not valid JSON") from None
    if not isinstance(order, dict):
        raise RequestError("Body must be a JSON object")
    if unknown := sorted(set(order) - {"projectId", "prompt"}):
        raise RequestError(f"Unknown field: {', '.join(unknown)[:100]}", 422)
    project, prompt = order.get("projectId"), order.get("prompt")
    if not isinstance(project, str) or not _UUID.fullmatch(project):
        raise RequestError("Invalid project ID format", 422)
    if not isinstance(prompt, str):
        raise RequestError("Prompt is required", 422)
    if len(prompt.strip()) < PROMPT_LEAST:
        raise RequestError(f"Prompt must be at least {PROMPT_LEAST} characters", 422)
    if len(prompt) > PROMPT_MOST:
        raise RequestError(f"Prompt must be at most {PROMPT_MOST} characters", 422)
    if NOT_STORABLE.search(prompt):
        raise RequestError("Prompt contains characters that cannot be stored", 422)
    return UUID(project), prompt


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _start(services: Services, user: UUID, project: UUID, prompt: str) -> dict[str, Any]:
    """Insert the session and its job in one transaction: both or neither."""
    who = {"user": user, "project": project}
    if services.pool.call("projects_table")[0]["present"] and not services.pool.call("owns_project", who)[0]["owned"]:
        raise RequestError("Project not found or access denied", 404)
    with services.pool.connection() as connection, connection.transaction():
        _check_quota(services, connection, user)
        session = services.pool.on(connection, "create_session", who | {"prompt": prompt})[0]
        job_id = enqueue(connection, ACTOR, session_id=session["id"], prompt=prompt)
    logger.info("Coding session started", extra={"sessionId": str(session["id"]), "jobId": str(job_id)})
    return {
        "sessionId": str(session["id"]),
        "jobId": str(job_id),
        "expiresAt": session["expires_at"].isoformat(),
        "status": session["status"],
    }


def _check_quota(services: Services, connection: Connection, user: UUID) -> None:
    """Raise unless the user may open another session. Its other requests wait until this transaction has ended."""
    most = services.settings.open_sessions_per_user
    services.pool.on(connection, "hold_user", {"user": user})
    if services.pool.on(connection, "count_open_sessions", {"user": user, "most": most})[0]["open"] >= most:
        raise RequestError(f"You have {most} open sessions: wait until one ends", HTTPStatus.TOO_MANY_REQUESTS)


def _session_id(text: str | None) -> UUID:
    if not text:
        raise RequestError("sessionId query parameter is required")
    if not _UUID.fullmatch(text):
        raise RequestError("Invalid session ID format")
    return UUID(text)


def _status(services: Services, user: UUID, session_id: UUID) -> dict[str, Any]:
    rows = services.pool.call("session_status", {"session": session_id, "user": user})
    # The same answer for an unknown session and another user's: an answer must not confirm that one exists.
    if not rows:
        raise RequestError("Session not found or access denied", 404)
    session = rows[0]
    events = services.pool.call("get_session_events", {"session": session_id, "limit": EVENTS_SHOWN})
    return {
        "id": str(session["id"]),
        "projectId": _text(session["project_id"]),
        "status": session["status"],
        "initialPrompt": session["initial_prompt"],
        "expiresAt": _text(session["expires_at"]),
        "startedAt": _text(session["started_at"]),
        "completedAt": _text(session["completed_at"]),
        "errorMessage": session["error_message"],
        "metadata": session["metadata"],
        "createdAt": _text(session["created_at"]),
        "updatedAt": _text(session["updated_at"]),
        "events": [
            {
                "id": str(event["id"]),
                "event_type": event["event_type"],
                "data": event["data"],
                "created_at": _text(event["created_at"]),
            }
            for event in events
        ],
    }


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)

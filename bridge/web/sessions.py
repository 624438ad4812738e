"""The sessions API of MobVibe's apps: start a coding session, and read its status and events."""

import logging
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, jsonify, request

from bridge.postgres.connection import Connection
from bridge.postgres.enqueue import enqueue
from bridge.web.idempotency import Keyed, answer_once
from bridge.web.services import Services
from bridge.web.session_api import asked_session, body_of_request, new_blueprint, token_of_request
from bridge.web.start_request import Order, RequestError, read_key, read_order
from bridge.web.tokens import Token

logger = logging.getLogger(__name__)

ACTOR = "run_coding_session"
EVENTS_SHOWN = 1000  # the newest ones: all events of an ordinary session, and a bound for the size of an answer
_RETRY_SECONDS = 30  # a session takes minutes, so asking again sooner is in vain


def blueprint(services: Services) -> Blueprint:
    pages = new_blueprint("sessions")

    @pages.post("/start-coding-session")
    def start_coding_session() -> tuple[Response, int]:
        token, body = token_of_request(services), body_of_request()
        key = read_key(request.headers.get("Idempotency-Key"))
        return jsonify(success=True, data=_start(services, token, read_order(body), key)), 201

    @pages.get("/get-session-status")
    def get_session_status() -> Response:
        asked = asked_session(services)
        return jsonify(success=True, data=_status(services, asked.user, asked.session_id))

    return pages


def _start(services: Services, token: Token, order: Order, key: str | None) -> dict[str, Any]:
    """Insert the session, its job and the request's key in one transaction: all or none. Returns the answer."""
    user = token.user

    def insert(connection: Connection) -> dict[str, Any]:
        _check_project(services, connection, user, order.project)
        _check_quota(services, connection, token)  # no other start takes the last place meanwhile: see answer_once
        given = {"user": user, "project": order.project, "prompt": order.prompt}
        session = services.pool.on(connection, "create_session", given)[0]
        job_id = enqueue(connection, ACTOR, order.payload, session_id=session["id"], prompt=order.prompt)
        return {
            "sessionId": str(session["id"]),
            "jobId": str(job_id),
            "expiresAt": session["expires_at"].isoformat(),
            "status": session["status"],
        }

    answer, is_new = answer_once(services.pool, Keyed(user, key, order.hash()), insert)
    if is_new:
        logger.info("Coding session started", extra={"sessionId": answer["sessionId"], "jobId": answer["jobId"]})
    return answer


def _check_project(services: Services, connection: Connection, user: UUID, project: UUID) -> None:
    who = {"user": user, "project": project}
    if not services.pool.on(connection, "projects_table")[0]["present"]:
        return
    if not services.pool.on(connection, "owns_project", who)[0]["owned"]:
        raise RequestError("Project not found or access denied", 404)


def _check_quota(services: Services, connection: Connection, token: Token) -> None:
    """Raise unless the user may open another session."""
    settings = services.settings
    most = settings.tiers.get(token.tier or "", settings.open_sessions_per_user)
    if most == 0:
        raise RequestError(f"Tier {token.tier} has no coding sessions", 403)
    if services.pool.on(connection, "count_open_sessions", {"user": token.user, "most": most})[0]["open"] >= most:
        raise RequestError(f"You have {most} open sessions: wait until one ends", 429, _RETRY_SECONDS)


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

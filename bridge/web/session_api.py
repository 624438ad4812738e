"""What the endpoints of the sessions API have in common: whose request it is, its body, and how one is refused."""

import logging
from typing import Any, NamedTuple
from uuid import UUID

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from bridge.web.jwks import KeysUnavailableError
from bridge.web.services import Services
from bridge.web.start_request import UUID_TEXT, RequestError
from bridge.web.tokens import KEYS_UNAVAILABLE_TEXT, NO_KEYS_TEXT, Token, TokenError, read_token

logger = logging.getLogger(__name__)


class SessionRequest(NamedTuple):
    """A session, and the user who asks something of it."""

    session_id: UUID
    user: UUID


def new_blueprint(name: str) -> Blueprint:
    pages = Blueprint(name, __name__, url_prefix="/functions/v1")
    pages.register_error_handler(RequestError, _refusal)
    pages.after_request(_allow_other_origins)
    return pages


def user_of_request(services: Services) -> UUID:
    """Raises as `token_of_request`."""
    return token_of_request(services).user


def token_of_request(services: Services) -> Token:
    """Raises RequestError for a request without a good token."""
    if not services.token_keys:
        raise RequestError(NO_KEYS_TEXT, 503)
    try:
        return read_token(request.headers.get("Authorization"), services.token_keys)
    except KeysUnavailableError as error:
        raise RequestError(KEYS_UNAVAILABLE_TEXT, 503, error.retry_after) from None
    except TokenError as error:
        logger.info("Token refused", extra={"reason": str(error)})
        raise RequestError("Invalid or expired token", 401) from None


def body_of_request() -> bytes:
    if request.content_encoding not in (None, "", "identity"):
        raise RequestError("Body must not be compressed", 415)
    body = request.get_data()
    if request.content_length is None and len(body) == request.max_content_length:
        raise RequestEntityTooLarge  # werkzeug cuts a body without a Content-Length there, and raises no error
    return body


def asked_session(services: Services) -> SessionRequest:
    """Of a GET request."""
    user = user_of_request(services)
    text = request.args.get("sessionId")
    if not text:
        raise RequestError("sessionId query parameter is required")
    return SessionRequest(session_id_of(text), user)


def session_id_of(text: Any) -> UUID:
    if not isinstance(text, str) or not UUID_TEXT.fullmatch(text):
        raise RequestError("Invalid session ID format")
    return UUID(text)


def _refusal(error: RequestError) -> tuple[Response, int]:
    refused = jsonify(success=False, error=str(error))
    if error.retry_after is not None:
        refused.headers["Retry-After"] = str(error.retry_after)
    return refused, error.status


def _allow_other_origins(response: Response) -> Response:
    # Web builds of the app call from another origin. This is safe: a token is required, and cookies are not used.
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Headers"] = (
        "authorization, x-client-info, apikey, content-type, idempotency-key"
    )
    return response

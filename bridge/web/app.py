"""The pages joined to one app, and what it answers to errors."""

import logging

from flask import Flask, Response, jsonify
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from bridge.errors import BridgeError, StoreUnavailableError
from bridge.settings import Settings
from bridge.web import health, index, sessions, stats
from bridge.web.services import Services

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024  # the longest prompt has 5000 characters, which JSON may escape with 12 bytes each


def create_app(settings: Settings) -> Flask:
    """The web app. Opens no connection until the first request needs one."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.merge_slashes = False  # `//health` is another path: answer 404, do not redirect
    app.json.sort_keys = False  # type: ignore[attr-defined]  # an attribute of Flask's default provider
    services = Services(settings)
    app.extensions["mobvibe"] = services
    for blueprint in (
        health.blueprint(services),
        stats.blueprint(services),
        sessions.blueprint(services),
        index.blueprint(services),
    ):
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ParseException, _unreadable_body)
    app.register_error_handler(BridgeError, _unavailable)
    app.register_error_handler(Exception, _crash)
    app.after_request(_secure)
    return app


def _failure(message: str, status: int) -> tuple[Response, int]:
    return jsonify(success=False, error=message), status


def _http_error(error: HTTPException) -> tuple[Response, int] | Response:
    if error.code is None or error.code < 400:  # noqa: PLR2004 -- a redirect is not an error
        return error.get_response()  # type: ignore[return-value]
    messages = {404: "Not found", 405: "Method not allowed", 413: f"Body is larger than {MAX_BODY_BYTES // 1024} kB"}
    response, status = _failure(messages.get(error.code, error.name), error.code)
    if error.code == 405:  # noqa: PLR2004
        response.headers["Allow"] = ", ".join(getattr(error, "valid_methods", None) or [])
    return response, status


def _unreadable_body(error: ParseException) -> tuple[Response, int]:
    """Answer a body with broken chunks. gunicorn raises the error only when the app reads the body."""
    logger.info("Request refused", extra={"reason": str(error)[:200]})
    return _failure("Body is not readable", 400)


def _unavailable(error: BridgeError) -> tuple[Response, int]:
    """Answer when a store is away or not set up. The caller can retry; the reason is in the log, for the operator."""
    logger.warning("Request failed: %s", error)
    store = error.store if isinstance(error, StoreUnavailableError) else "The service"
    return _failure(f"{store} is unavailable, try again later", 503)


def _crash(error: Exception) -> tuple[Response, int]:
    logger.error("Request crashed", exc_info=error)
    return _failure("Internal server error", 500)


def _secure(response: Response) -> Response:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
    return response

"""The pages joined to one app, and what it answers to errors."""

import logging

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from bridge.errors import BridgeError, StoreUnavailableError
from bridge.settings import Settings
from bridge.web import index, readyz, sessions, stats
from bridge.web.answers import SECURITY_HEADERS
from bridge.web.services import Services
from bridge.web.whole_requests import MAX_BODY_BYTES

logger = logging.getLogger(__name__)


def create_app(settings: Settings) -> Flask:
    """The web app. Opens no connection until the first request needs one."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES  # for servers other than ours (asgi.py)
    app.url_map.merge_slashes = False  # `//health` is another path: answer 404, do not redirect
    app.json.sort_keys = False  # type: ignore[attr-defined]  # an attribute of Flask's default provider
    services = Services(settings)
    app.extensions["mobvibe"] = services
    for blueprint in (
        readyz.blueprint(services),
        stats.blueprint(services),
        sessions.blueprint(services),
        index.blueprint(services),
    ):
        app.register_blueprint(blueprint)
    app.register_error_handler(HTTPException, _http_error)
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


def _unavailable(error: BridgeError) -> tuple[Response, int]:
    """Answer when a store is away or not set up. The caller can retry; the reason is in the log, for the operator."""
    logger.warning("Request failed: %s", error)
    store = error.store if isinstance(error, StoreUnavailableError) else "The service"
    return _failure(f"{store} is unavailable, try again later", 503)


def _crash(error: Exception) -> tuple[Response, int]:
    logger.error("Request crashed", exc_info=error)
    return _failure("Internal server error", 500)


def _secure(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response

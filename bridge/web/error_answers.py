"""What the web process answers to errors: a page for who reads with a browser, JSON for everybody else."""

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from bridge.errors import BridgeError, PostgresRefusedError, SchemaError, StoreUnavailableError
from bridge.web.whole_requests import MAX_BODY_BYTES

logger = logging.getLogger(__name__)

_FIRST_ERROR = 400  # statuses below are answers
_WITH_OUR_WORDS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}  # whose descriptions are ours, and say what to do
_TEXTS = {
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.METHOD_NOT_ALLOWED: "Method not allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"Body is larger than {MAX_BODY_BYTES // 1024} kB",
}


def install(app: Flask) -> None:
    app.before_request(_check_query)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(BridgeError, _unavailable)
    app.register_error_handler(Exception, _crash)


def _check_query() -> Response | None:
    """Refuse a query of raw bytes instead of percent codes, which cannot be read as text."""
    try:
        _ = request.args
    except UnicodeDecodeError:
        return _failure("Query is not valid UTF-8", HTTPStatus.BAD_REQUEST)
    return None


def _http_error(error: HTTPException) -> Response:
    if error.code is None or error.code < _FIRST_ERROR:
        return error.get_response()  # type: ignore[return-value]
    status = HTTPStatus(error.code)
    said = error.description if status in _WITH_OUR_WORDS else None
    answer = _failure(said or _TEXTS.get(status, error.name), status)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(getattr(error, "valid_methods", None) or [])
    return answer


def _unavailable(error: BridgeError) -> Response:
    """Answer when a store is away or not set up. The caller can retry; the reason is in the log, for the operator."""
    logger.warning("Request failed: %s", error)
    if isinstance(error, SchemaError):
        older = "The database is of an older version, and lacks what this needs. Run: mobvibe migrate up"
        return _failure(older, HTTPStatus.SERVICE_UNAVAILABLE)
    if isinstance(error, PostgresRefusedError):  # a host's trigger or constraint: to try again would not help
        return _failure("The database refuses this. The log of mobvibe web says why", HTTPStatus.CONFLICT)
    store = error.store if isinstance(error, StoreUnavailableError) else "The service"
    return _failure(f"{store} is unavailable, try again later", HTTPStatus.SERVICE_UNAVAILABLE)


def _crash(error: Exception) -> Response:
    logger.error("Request crashed", exc_info=error)
    return _failure("Internal server error", HTTPStatus.INTERNAL_SERVER_ERROR)


def _failure(message: str, status: HTTPStatus) -> Response:
    if "text/html" in request.headers.get("Accept", ""):
        answer = Response(render_template("error.html", message=message, status=status), content_type="text/html")
    else:
        answer = jsonify(success=False, error=message)
    answer.status_code = status
    return answer

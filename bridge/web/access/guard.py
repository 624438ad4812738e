"""Lets a request pass to the pages, or sends it to the login."""

import logging
from typing import Any, NoReturn

from flask import Flask, Request, abort, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue

from bridge.web.access import csrf
from bridge.web.access.roles import Access, Role

logger = logging.getLogger(__name__)

COOKIE_NAME = "mobvibe"
SESSION_SECONDS = 12 * 3600  # a working day
OPEN_ENDPOINTS = {"static", "login.show", "login.log_in", "login.log_out"}
# Probes and scrapers know no login; users of sessions have tokens.
OPEN_BLUEPRINTS = {"readyz", "metrics", "sessions", "session_archive", "session_turns"}
LOGIN_TEXT = "Log in, or send the service role key as a Bearer token."
CLOSED_TEXT = (
    "The dashboard is closed: set DASHBOARD_PASSWORD to log in. "
    "Without a password it opens in development only, on this machine."
)
FOREIGN_TEXT = (
    "This form is not from this page, or is too old: load the page again. "
    "Scripts send the service role key as a Bearer token."
)


def install(app: Flask, access: Access, path_prefix: str) -> None:
    """Ask for a role before each request to a page, and for a token before each one that changes something.

    Cookies are for `path_prefix` only: what else the same host serves must neither get nor replace them.
    """
    app.secret_key = access.cookie_key()
    app.session_interface = _Cookie()
    app.config.update(
        SESSION_COOKIE_NAME=COOKIE_NAME,
        SESSION_COOKIE_PATH=path_prefix or "/",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_SECONDS,
    )
    app.extensions["access"] = access
    app.before_request(_guard)
    app.context_processor(_for_templates)


def _for_templates() -> dict[str, Any]:
    access: Access = current_app.extensions["access"]
    return {
        "csrf_token": csrf.token_of(session),
        "role": g.get("role"),
        "asks_for_password": access.asks_for_password,
    }


class _Cookie(SecureCookieSessionInterface):
    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 -- Flask's
        """Whether the browser speaks HTTPS, as a proxy before us may say. A false answer harms its sender only."""
        return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def _guard() -> ResponseReturnValue | None:
    if request.endpoint in OPEN_ENDPOINTS or request.blueprint in OPEN_BLUEPRINTS:
        return None
    access: Access = current_app.extensions["access"]
    g.role = role = access.role(session, request.headers.get("Authorization"), request.host, port_of(request))
    if request.endpoint is None:
        return None  # there is no such page, which who may see the others reads with the links to them
    if role is None:
        return _turn_away(access)
    g.has_service_key = access.has_service_key(request.headers.get("Authorization"))
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        _check_change(role)
    return None


def _turn_away(access: Access) -> ResponseReturnValue:
    wants_page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if access.asks_for_password and wants_page:
        return redirect(url_for("login.show", next=request.script_root + request.full_path.rstrip("?")))
    return abort(401, LOGIN_TEXT) if access.asks_for_password else abort(403, CLOSED_TEXT)


def _check_change(role: Role) -> None:
    if role is not Role.ADMIN:
        abort(403, "You may look, but not change anything: this needs the role admin.")
    if g.has_service_key:
        return  # no browser sends it for a foreign page. It does send a Basic password that a proxy before us asked for
    token = request.headers.get(csrf.HEADER) or request.form.get(csrf.FIELD)
    if not was_meant(token):
        _refuse_foreign_form()


def port_of(of: Request) -> int | None:
    """The port that took the connection, whatever its Host header says."""
    return of.server[1] if of.server else None


def was_meant(token: str | None) -> bool:
    """Whether this request carries the token of our page, and comes from it."""
    return csrf.was_meant(session, token, request.headers.get("Origin"), request.host)


def _refuse_foreign_form() -> NoReturn:
    logger.info("Request refused", extra={"reason": "no or a wrong CSRF token, or another origin"})
    abort(403, FOREIGN_TEXT)

"""Browsers in which somebody has logged in before: who guesses elsewhere must not make them wait."""

from flask import Flask, Request, Response, current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from bridge.web.access.roles import Role

COOKIE_NAME = "mobvibe_known"
_REMEMBERED_SECONDS = 365 * 24 * 3600  # it opens nothing: a login behind it asks for the password as everywhere


def remember(answer: Response, role: Role) -> None:
    """Let the browser that gets this answer prove later that it had a login of this role."""
    app = current_app
    answer.set_cookie(
        COOKIE_NAME,
        _signer(app).dumps(role.value),
        max_age=_REMEMBERED_SECONDS,
        path=app.config["SESSION_COOKIE_PATH"],
        secure=app.session_interface.get_cookie_secure(app),
        httponly=True,
        samesite="Lax",
    )


def known_role(of: Request = request) -> str | None:
    """The role that the browser of this request has had; None: it is not known, or a password has changed since."""
    try:
        return str(_signer(current_app).loads(of.cookies.get(COOKIE_NAME, ""), max_age=_REMEMBERED_SECONDS))
    except BadSignature:
        return None


def _signer(app: Flask) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(app.secret_key or "", salt="known browser")

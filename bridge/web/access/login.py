"""The login page."""

import logging
import math
import re
from http import HTTPStatus

from flask import Blueprint, abort, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from bridge.web.access import csrf
from bridge.web.access.client_address import TrustedProxies
from bridge.web.access.failed_logins import FailedLogins, guesser
from bridge.web.access.guard import was_meant
from bridge.web.access.known_browsers import known_role, remember
from bridge.web.access.roles import Access, Role

logger = logging.getLogger(__name__)

# Two slashes begin the name of a host. Browsers take a backslash for a slash, and leave control characters out.
_OWN_PATH = re.compile(r"/(?!/)[^\\\x00-\x1f\x7f]*")


def blueprint(access: Access, proxies: TrustedProxies) -> Blueprint:
    pages = Blueprint("login", __name__)
    failed_logins = FailedLogins()

    @pages.get("/login")
    def show() -> ResponseReturnValue:
        if not access.asks_for_password:
            return redirect(url_for("index.index"))
        return _page()

    @pages.post("/login")
    def log_in() -> ResponseReturnValue:
        address = proxies.client(request.remote_addr or "", request.headers.get("X-Forwarded-For"))
        user = request.form.get("user", "")
        who = guesser(address, user, known_role())
        if not was_meant(request.form.get(csrf.FIELD)):
            return _page("This page was open for too long. Try again.", HTTPStatus.FORBIDDEN)
        if wait := math.ceil(failed_logins.wait_seconds(who)):
            page, status = _page(f"Too many wrong passwords: try again in {wait} s.", HTTPStatus.TOO_MANY_REQUESTS)
            return page, status, {"Retry-After": str(wait)}
        role = access.log_in(user, request.form.get("password", ""))
        if role is None:
            failed_logins.failed(who)
            logger.warning("Login refused", extra={"address": address})
            return _page("This name and password do not match.", HTTPStatus.UNAUTHORIZED)
        if role is Role.ADMIN:  # who knows the readers' password must not guess the other one between two such logins
            failed_logins.succeeded(who)
        session.clear()  # with a new token: the old one was known before the login
        session.permanent = True
        session.update(role=role.value, user=user)
        answer = redirect(_own_path(request.form.get("next")))
        remember(answer, role)  # type: ignore[arg-type]  # werkzeug's type for the same
        return answer

    @pages.post("/logout")
    def log_out() -> ResponseReturnValue:
        if not was_meant(request.form.get(csrf.FIELD)):
            abort(HTTPStatus.FORBIDDEN)
        session.clear()
        return redirect(url_for("login.show"))

    return pages


def _page(problem: str | None = None, status: int = HTTPStatus.OK) -> tuple[str, int]:
    wanted = request.values.get("next")
    return render_template("login.html", problem=problem, next=_own_path(wanted)), status


def _own_path(wanted: str | None) -> str:
    """Where to go after the login: only to a path of ours, since the address may have come from anybody."""
    return wanted if wanted is not None and _OWN_PATH.fullmatch(wanted) else url_for("index.index")

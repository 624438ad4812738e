"""A browser that had a login proves it later, until a password changes."""

from flask import Flask
from pydantic import SecretStr
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from bridge.settings import Settings
from bridge.web.access.known_browsers import COOKIE_NAME, known_role, remember
from bridge.web.access.roles import Role
from tests.support.web import client_of


def app(settings: Settings, password: str) -> Flask:
    return client_of(settings, dashboard_password=SecretStr(password), path_prefix="/mobvibe").application


def test_a_browser_is_known_until_a_password_changes(settings: Settings) -> None:
    same, other = app(settings, "correct horse"), app(settings, "another horse")
    answer = Response()
    with same.test_request_context():
        remember(answer, Role.READER)  # type: ignore[arg-type]
    cookie = answer.headers["Set-Cookie"]
    sent = EnvironBuilder(headers=[("Cookie", cookie.partition(";")[0])]).get_environ()

    with same.request_context(sent):
        assert known_role() == "reader"
    with other.request_context(sent):
        assert known_role() is None
    with same.test_request_context():
        assert known_role() is None
    assert cookie.startswith(f"{COOKIE_NAME}=")
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Lax", "Path=/mobvibe", "Max-Age="))

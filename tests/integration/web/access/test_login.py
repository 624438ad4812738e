"""The login page: one cookie for who knows the password, nothing for anybody else."""

import re

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from bridge.settings import Settings
from bridge.web.access.failed_logins import FREE_FAILURES
from tests.support.web import client_of

PASSWORD = "correct horse"


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return client_of(settings, dashboard_password=SecretStr(PASSWORD), node_env="production")


def token(client: FlaskClient) -> str:
    found = re.search('name="csrf" value="([^"]+)"', client.get("/login").text)
    assert found
    return found[1]


def log_in(client: FlaskClient, password: str = PASSWORD, next_path: str = "/", **headers: str) -> TestResponse:
    form = {"csrf": token(client), "user": "admin", "password": password, "next": next_path}
    return client.post("/login", data=form, headers=headers)


def test_the_password_opens_the_pages_until_the_logout(client: FlaskClient) -> None:
    answer = log_in(client, next_path="/stats")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/stats")
    assert client.get("/").status_code == 200

    form = {"csrf": re.search('name="csrf" value="([^"]+)"', client.get("/").text)[1]}  # type: ignore[index]
    assert client.post("/logout", data=form).status_code == 302
    assert client.get("/").status_code == 401


def test_a_wrong_password_opens_nothing(client: FlaskClient) -> None:
    answer = log_in(client, password="wrong")

    assert answer.status_code == 401
    assert "do not match" in answer.text
    assert client.get("/").status_code == 401


def test_who_guesses_must_wait(client: FlaskClient) -> None:
    for _ in range(FREE_FAILURES):
        log_in(client, password="wrong")

    answer = log_in(client)

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) in {1, 2}
    assert client.get("/").status_code == 401


def test_a_form_of_another_page_cannot_log_in(client: FlaskClient) -> None:
    foreign = client.post("/login", data={"user": "admin", "password": PASSWORD})

    assert foreign.status_code == 403
    assert log_in(client, Origin="https://evil.example").status_code == 403


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "x",
        "//[x",
        "/\n//evil.example",
        "/\t//evil.example",
        " ///evil.example",
    ],
)
def test_the_login_leads_to_our_own_pages_only(client: FlaskClient, wanted: str) -> None:
    assert log_in(client, next_path=wanted).headers["Location"] == "/"


def test_the_cookie_is_hidden_from_scripts_and_from_plain_http(client: FlaskClient) -> None:
    plain = log_in(client).headers["Set-Cookie"]
    behind_tls = log_in(client, **{"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]

    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    assert "Secure" in behind_tls


def test_without_a_password_there_is_nothing_to_log_in_to(settings: Settings) -> None:
    assert client_of(settings).get("/login").headers["Location"] == "/"

"""The login page: one cookie for who knows the password, nothing for anybody else.

Rows of docs/reference/security.md: S15.
"""

import re

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from bridge.settings import Settings
from bridge.web.access import known_browsers
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


def log_in(
    client: FlaskClient, password: str = PASSWORD, next_path: str = "/", user: str = "admin", **headers: str
) -> TestResponse:
    form = {"csrf": token(client), "user": user, "password": password, "next": next_path}
    return client.post("/login", data=form, headers=headers)


def guess(client: FlaskClient, times: int = FREE_FAILURES, address: str = "") -> None:
    for _ in range(times):
        log_in(client, password="wrong", **{"X-Forwarded-For": address})


def other_browser(client: FlaskClient) -> FlaskClient:
    return client.application.test_client()


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


@pytest.mark.parametrize(
    ("trusted", "own", "kept_out"),
    [
        ("127.0.0.1", "198.51.100.7", False),  # one proxy, two addresses behind it
        ("127.0.0.1", "203.0.113.9", True),
        ("127.0.0.1", "198.51.100.7, 203.0.113.9", True),  # the guesser says what it likes before the proxy does
        ("", "198.51.100.7", True),  # the header of anybody
        ("10.0.0.1", "198.51.100.7", True),
    ],
)
def test_wrong_passwords_are_counted_by_the_address_that_a_trusted_proxy_says(
    settings: Settings, trusted: str, own: str, *, kept_out: bool
) -> None:
    client = client_of(settings, dashboard_password=SecretStr(PASSWORD), forwarded_allow_ips=trusted)
    guess(other_browser(client), address="203.0.113.9")

    answer = log_in(client, **{"X-Forwarded-For": own})

    assert answer.status_code == (429 if kept_out else 302)


def test_who_guesses_behind_the_same_proxy_keeps_out_no_browser_that_had_a_login(client: FlaskClient) -> None:
    log_in(client)
    client.post("/logout", data={"csrf": token(client)})
    stranger = other_browser(client)
    guess(stranger)

    assert log_in(stranger).status_code == 429
    assert log_in(client).status_code == 302
    assert log_in(stranger).status_code == 429, "the other's login does not end its wait"


def test_a_browser_that_had_a_login_waits_for_its_own_wrong_passwords(client: FlaskClient) -> None:
    log_in(client)
    guess(client)

    assert log_in(client).status_code == 429


def test_a_cookie_of_a_known_browser_cannot_be_made_and_opens_nothing(client: FlaskClient) -> None:
    log_in(client)
    known = client.get_cookie(known_browsers.COOKIE_NAME)
    assert known is not None
    assert known.http_only
    stranger = other_browser(client)
    guess(stranger)
    for forged in ("admin", known.value[:-1] + "_", "x"):
        stranger.set_cookie(known_browsers.COOKIE_NAME, forged)
        assert log_in(stranger).status_code == 429

    stranger.set_cookie(known_browsers.COOKIE_NAME, known.value)
    assert stranger.get("/").status_code == 401


def test_guesses_at_another_name_keep_out_nobody(client: FlaskClient) -> None:
    for _ in range(FREE_FAILURES):
        log_in(other_browser(client), password="wrong", user="root")

    assert log_in(client).status_code == 302


def test_a_readers_login_gives_no_further_guesses_at_the_other_password(settings: Settings) -> None:
    both = {"dashboard_password": SecretStr(PASSWORD), "dashboard_reader_password": SecretStr("battery staple")}
    client = client_of(settings, **both)
    for _ in range(FREE_FAILURES):
        guess(client, 1)
        log_in(client, password="battery staple")
    guess(client, FREE_FAILURES - 1)

    assert log_in(client).status_code == 429


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


def test_the_cookies_are_hidden_from_scripts_and_from_plain_http(client: FlaskClient) -> None:
    plain = log_in(client).headers.getlist("Set-Cookie")
    behind_tls = log_in(client, **{"X-Forwarded-Proto": "https"}).headers.getlist("Set-Cookie")

    assert len(plain) == len(behind_tls) == 2
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in plain + behind_tls)
    assert not any("Secure" in cookie for cookie in plain)
    assert all("Secure" in cookie for cookie in behind_tls)


def test_without_a_password_there_is_nothing_to_log_in_to(settings: Settings) -> None:
    assert client_of(settings).get("/login").headers["Location"] == "/"

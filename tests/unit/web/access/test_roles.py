"""Which role a request has.

Rows of docs/reference/security.md: S15.
"""

from typing import Any

import pytest

from bridge.settings import Settings, load_settings
from bridge.web.access.roles import Access, Role, is_local, name_of

PASSWORDS = {"dashboard_password": "correct horse", "dashboard_reader_password": "battery staple"}


def settings(**given: Any) -> Settings:
    return load_settings(_env_file=None, **given)


@pytest.mark.parametrize(
    ("given", "host", "role"),
    [
        ({}, "localhost:8080", Role.ADMIN),
        ({}, "127.0.0.1:8080", Role.ADMIN),
        ({}, "[::1]:8080", Role.ADMIN),
        ({"read_only": True}, "localhost", Role.READER),
        ({}, "evil.example:8080", None),  # a name that its owner has made lead to this machine
        ({}, "localhost.evil.example", None),
        ({"node_env": "production"}, "localhost", None),
        ({"bind_host": "0.0.0.0"}, "localhost", None),  # noqa: S104
        (PASSWORDS, "localhost", None),
    ],
)
def test_without_a_login_only_this_machine_is_admitted(given: dict[str, Any], host: str, role: Role | None) -> None:
    assert Access(settings(**given)).role({}, None, host) is role


@pytest.mark.parametrize(
    ("user", "password", "role"),
    [
        ("admin", "correct horse", Role.ADMIN), ("admin", "battery staple", Role.READER),
        ("admin", "correct horsé", None), ("admin", "", None), ("root", "correct horse", None), ("", "", None),
    ],
)  # fmt: skip
def test_each_password_gives_its_role(user: str, password: str, role: Role | None) -> None:
    assert Access(settings(**PASSWORDS)).log_in(user, password) is role


@pytest.mark.parametrize(
    ("cookie", "role"),
    [({"role": "admin"}, Role.ADMIN), ({"role": "reader"}, Role.READER), ({"role": "root"}, None), ({}, None)],
)
def test_a_cookie_carries_the_role_of_its_login(cookie: dict[str, str], role: Role | None) -> None:
    assert Access(settings(**PASSWORDS)).role(cookie, None, "x") is role


def test_a_cookie_gives_only_the_roles_that_have_a_password() -> None:
    access = Access(settings(dashboard_reader_password="battery staple"))

    assert access.role({"role": "admin"}, None, "x") is None, "signed by a reader, who knows the only password"
    assert access.role({"role": "reader"}, None, "x") is Role.READER


def test_read_only_makes_every_login_a_reader() -> None:
    access = Access(settings(**PASSWORDS, read_only=True, supabase_service_role_key="key"))

    assert access.log_in("admin", "correct horse") is Role.READER
    assert access.role({"role": "admin"}, None, "x") is Role.READER
    assert access.role({}, "Bearer key", "x") is Role.READER


@pytest.mark.parametrize(
    ("key", "authorization", "role"),
    [
        ("key", "Bearer key", Role.ADMIN), ("key", "bearer  key ", Role.ADMIN), ("key", "Bearer kéy", None),
        ("key", "Basic key", None), ("key", "Bearer ", None), (None, "Bearer ", None), ("", "Bearer ", None),
    ],
)  # fmt: skip
def test_the_service_role_key_admits_everywhere(key: str | None, authorization: str, role: Role | None) -> None:
    access = Access(settings(node_env="production", supabase_service_role_key=key))

    assert access.role({}, authorization, "anywhere.example") is role


def test_the_key_of_cookies_changes_with_the_passwords_and_with_nothing_else() -> None:
    one, same = (Access(settings(**PASSWORDS)).cookie_key() for _ in range(2))
    other = Access(settings(dashboard_password="another one")).cookie_key()

    assert one == same != other
    assert Access(settings()).cookie_key() != Access(settings()).cookie_key()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),  # noqa: S104
     ("::", False), ("10.0.0.1", False), ("bridge", False)],
)  # fmt: skip
def test_only_this_machine_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("header", "name"),
    [("LocalHost:8080", "localhost"), ("[::1]:8080", "[::1]"), ("[::1]", "[::1]"), ("a.b", "a.b"), ("a:b", "a:b")],
)
def test_a_host_is_compared_without_its_port(header: str, name: str) -> None:
    assert name_of(header) == name

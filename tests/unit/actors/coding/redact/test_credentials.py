"""Passwords, headers and signed tokens are found by what is around them."""

import pytest

from actors.coding.redact.credentials import BEGINNINGS, credentials_in

AWS = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BEARER = "0123456789abcdefghij"
SIGNED = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0.abc_DEF-123"


def found_in(text: str) -> list[str]:
    return [text[one.start : one.end] for one in credentials_in(text)]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("redis://:hunter-2@h:6379", "hunter-2"),
        ("postgresql://app:p%40ss@h/d", "p%40ss"),
        ("https://x-access-token:abc@github.com/a/b", "abc"),
        (f"AWS_SECRET_ACCESS_KEY={AWS}", AWS),
        (f'"SecretAccessKey": "{AWS}"', AWS),
        (f"aws_secret_access_key = {AWS}", AWS),
        (f"authorization: Bearer {BEARER}", BEARER),
        (f'"Authorization": "Basic {BEARER}=="', BEARER + "=="),
        (f"AUTHORIZATION: token {BEARER}", BEARER),
        (f"key={SIGNED};", SIGNED),
    ],
)
def test_what_is_found(text: str, secret: str) -> None:
    assert set(found_in(text)) == {secret}
    start = text.index(secret)
    for length in range(2, len(secret) - 1):
        part = text[: start + length]
        places = [place for one in BEGINNINGS if (place := one.place(part, 0)) is not None]
        assert start in places or found_in(part), part


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8080/a@b",
        "postgres://postgres:postgres@h",
        "postgres://u:${PASSWORD}@h",
        "postgres://u:<password>@h",
        "postgresql://user:password@host:5432/name",
        "Authorization: Bearer YOUR_ACCESS_TOKEN_OF_ABC",
        "eyJhbGciOiJIUzI1NiJ9 is the header",
        "secret_access_key: short",
    ],
)
def test_what_is_not(text: str) -> None:
    assert found_in(text) == []

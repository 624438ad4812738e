"""Tokens: users are let in, and nobody else, whatever a token claims.

Rows of docs/reference/security.md: S1, S2, S3, S4.
"""

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from bridge.web.token_keys import TokenKeys
from bridge.web.tokens import TokenError, make_token, read_user

SECRET = "a-secret-of-this-test-that-is-long-enough"
KEYS = TokenKeys(SECRET)
USER = UUID("7d9f1a52-8f0e-4f7c-9a32-0f4f0d3d9b11")
LATER = int(time.time()) + 24 * 3600  # longer than the slowest run of all tests
GOOD = {"sub": str(USER), "aud": "authenticated", "role": "authenticated", "exp": LATER}


def signed(claims: dict[str, Any], *, header: dict[str, Any] | None = None, secret: str = SECRET) -> str:
    """A token made by hand, as an attacker would make it."""

    def part(data: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=")

    body = part(header or {"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    mark = base64.urlsafe_b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).rstrip(b"=")
    return f"Bearer {(body + b'.' + mark).decode()}"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def test_a_users_token_names_the_user() -> None:
    assert read_user(signed(GOOD), KEYS) == USER
    assert read_user(f"bearer {make_token(USER, SECRET, timedelta(minutes=1))}", KEYS) == USER


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer  ",
        "Basic dXNlcjpwYXNz",
        "Bearer not.a.token",
        "Bearer " + "x" * 10_000,
        signed(GOOD, secret="another secret that is long enough too"),
        signed(GOOD)[:-3],
        signed(GOOD | {"exp": int(time.time()) - 60}),
        signed(GOOD | {"exp": "soon"}),
        signed(GOOD | {"nbf": LATER}),
        signed(GOOD | {"iat": "yesterday"}),
        signed(without("exp")),
        signed(without("sub")),
        signed(without("aud")),
        signed(without("role")),
        signed(GOOD | {"aud": None}),
        signed(GOOD | {"aud": ["authenticated"]}),
        signed(GOOD | {"aud": "anon"}),
        signed(GOOD | {"role": "anon"}),
        signed(GOOD | {"role": "service_role"}),
        signed(GOOD | {"sub": "root"}),
        signed(GOOD | {"sub": 7}),
        # The project's own keys, as older projects have them: signed with the same secret.
        signed({"iss": "supabase", "ref": "x", "role": "anon", "exp": LATER}),
        signed({"iss": "supabase", "ref": "x", "role": "service_role", "exp": LATER}),
        signed(GOOD, header={"alg": "none", "typ": "JWT"}),
        signed(GOOD, header={"alg": "RS256", "typ": "JWT"}),
        signed(GOOD, header={"alg": "HS256", "typ": "JWT", "crit": ["unheard-of"], "unheard-of": 1}),
    ],
)
def test_every_other_token_is_refused(authorization: str | None) -> None:
    with pytest.raises(TokenError):
        read_user(authorization, KEYS)


def test_an_unsigned_token_is_refused() -> None:
    token = jwt.encode(GOOD, key="", algorithm="none")

    with pytest.raises(TokenError):
        read_user(f"Bearer {token}", KEYS)


def test_a_reason_never_holds_the_token() -> None:
    authorization = signed(GOOD | {"exp": 1})
    with pytest.raises(TokenError) as raised:
        read_user(authorization, KEYS)

    assert authorization.split()[1] not in str(raised.value)


def test_a_token_ends_with_its_lifetime() -> None:
    token = make_token(uuid4(), SECRET, timedelta(seconds=-60))

    with pytest.raises(TokenError, match="ExpiredSignatureError"):
        read_user(f"Bearer {token}", KEYS)

"""Authorization values that must be refused, some of them signed with the right secret."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import uuid4

_HEAD = b'{"alg":"HS256","typ":"JWT"}'
_GOOD: dict[str, Any] = {"sub": str(uuid4()), "aud": "authenticated", "role": "authenticated"}

_BAD_CLAIMS: tuple[dict[str, Any], ...] = (
    {"exp": 1}, {"exp": "soon"}, {"exp": None}, {"exp": []}, {"exp": {}}, {"exp": float("nan")},
    {"exp": float("inf")},
    {"exp": -1e308}, {"nbf": 2**60}, {"nbf": float("nan")}, {"nbf": []}, {"iat": "x"}, {"iat": float("inf")},
    {"iat": []},
    {"aud": None}, {"aud": []}, {"aud": {"a": 1}}, {"aud": 7}, {"role": "anon"}, {"role": "service_role"},
    {"role": []},
    {"sub": 7}, {"sub": ""}, {"sub": []}, {"sub": "x" * 3000}, {"sub": "\ud800"},
)  # fmt: skip


def bad_tokens(secret: str) -> tuple[str, ...]:
    good = _GOOD | {"exp": int(time.time()) + 7200}
    right = _signed(_as_bytes(good), secret)
    return (
        "", "Bearer", "Bearer ", "bearer", "Basic eDp5", "Bearer not.a.token", "Bearer ...", f"Token {right}",
        f"Bearer {right[:-4]}", f"Bearer {right}x", f"Bearer {right.swapcase()}", f"Bearer {right}.{right}",
        "Bearer \xff\xfe", "Bearer " + "x" * 7000,
        *(f"Bearer {_part(head)}.e30.x" for head in (
            b"[" * 5000, b'{"alg":' * 700, b'{"alg":"none"}', b'{"alg":[]}', b'{"alg":{}}', b"7", b"\xff",
            b'{"alg":"HS256","kid":7}',
            b'{"alg":"HS256","crit":["b64"],"b64":false}', b'{"alg":' + b"9" * 5000 + b"}")),
        *(f"Bearer {_signed(_as_bytes(good | bad), secret)}" for bad in _BAD_CLAIMS),
        *(f"Bearer {_signed(claims, secret)}" for claims in (
            b"", b"[]", b"7", b"null", b"\xff", b"{" * 3000, b"[" * 3000, b'{"exp":' + b"9" * 5000 + b"}")),
        f"Bearer {_signed(_as_bytes(good), secret + 'x')}",
    )  # fmt: skip


def _as_bytes(claims: dict[str, Any]) -> bytes:
    return json.dumps(claims).encode()


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(claims: bytes, secret: str) -> str:
    body = f"{_part(_HEAD)}.{_part(claims)}"
    return body + "." + _part(hmac.new(secret.encode(), body.encode(), hashlib.sha256).digest())

"""Reading keys from an endpoint: those that can verify, from this address only, in bounded time and size.

Rows of docs/reference/security.md: S5.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.web import jwks_endpoint
from bridge.web.jwks_endpoint import DOCUMENT_MOST_BYTES, JwksError, read_keys
from tests.support.jwks_server import PATH, JwksServer, SigningKey

EC, RSA = SigningKey("ec"), SigningKey("rsa", "RS256")


@pytest.fixture
def server() -> Iterator[JwksServer]:
    server = JwksServer(EC, RSA)
    yield server
    server.close()


def test_each_key_has_the_algorithm_of_its_kind(server: JwksServer) -> None:
    keys = read_keys(server.address)

    assert {kid: key.algorithm_name for kid, key in keys.items()} == {"ec": "ES256", "rsa": "RS256"}
    assert server.requests == [PATH]


@pytest.mark.parametrize(
    "bad",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "x", "alg": "HS256"},
        EC.published(alg="HS256"), EC.published(alg="RS256"), RSA.published(alg="HS256"), RSA.published(alg="none"),
        EC.published(use="enc"), EC.published(key_ops=["sign"]), EC.published(key_ops=7), EC.private_part(),
        EC.published(kid=None), EC.published(kid=7), EC.published(kid=""), EC.published(kid="x" * 201),
        EC.published(crv="P-384"), EC.published(crv=[]), EC.published(kty={}), EC.published(x="AA"),
        EC.published(y=None), SigningKey("short", "RS256", bits=1024).published(), RSA.published(n="!"),
        {}, None, 7, "x", [],
    ],
)  # fmt: skip
def test_what_is_no_key_for_tokens_is_left_out(server: JwksServer, bad: Any) -> None:
    server.body = json.dumps({"keys": [bad, SigningKey("good").published()]}).encode()

    assert list(read_keys(server.address)) == ["good"]


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"7", b'{"keys": 7}', b'{"key": []}', b"\xff", b"[" * 50_000])
def test_what_is_no_key_set_is_an_error(server: JwksServer, body: bytes) -> None:
    server.body = body

    with pytest.raises(JwksError):
        read_keys(server.address)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(server: JwksServer, status: int) -> None:
    server.status, server.headers = status, {"Location": server.base + "/elsewhere"}

    with pytest.raises(JwksError, match=f"status {status}"):
        read_keys(server.address)
    assert server.requests == [PATH]


@pytest.mark.parametrize("status", [204, 401, 404, 500, 503])
def test_an_answer_that_is_no_success_is_an_error(server: JwksServer, status: int) -> None:
    server.status = status

    with pytest.raises(JwksError):
        read_keys(server.address)


def test_a_document_is_read_up_to_a_size(server: JwksServer) -> None:
    server.body = b'{"keys": []}' + b" " * DOCUMENT_MOST_BYTES

    with pytest.raises(JwksError, match="larger than"):
        read_keys(server.address)


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "single bytes"])
def test_a_slow_endpoint_is_left(server: JwksServer, monkeypatch: pytest.MonkeyPatch, *, drips: bool) -> None:
    monkeypatch.setattr(jwks_endpoint, "STEP_SECONDS", 0.5)
    monkeypatch.setattr(jwks_endpoint, "FETCH_SECONDS", 1.0)
    server.seconds, server.drips = (0.0, True) if drips else (5.0, False)
    begun = time.monotonic()

    with pytest.raises(JwksError):
        read_keys(server.address)
    assert time.monotonic() - begun < 4, "a hundred bytes take ten seconds"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "http://no-such-host.invalid/x", "https://127.0.0.1:9"])
def test_an_endpoint_that_is_not_there_is_an_error_without_its_address(address: str) -> None:
    with pytest.raises(JwksError) as raised:
        read_keys(address)

    assert "127.0.0.1" not in str(raised.value)
    assert "invalid" not in str(raised.value)


def test_a_server_whose_certificate_is_unknown_is_not_believed(server: JwksServer) -> None:
    with pytest.raises(JwksError):  # it speaks no TLS at all
        read_keys(server.address.replace("http:", "https:"))

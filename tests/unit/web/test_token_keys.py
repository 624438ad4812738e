"""Tokens of published keys: each key with its own algorithm, whatever the token's header says.

Rows of docs/reference/security.md: S1, S2.
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bridge.settings import load_settings
from bridge.web.jwks import Jwks, KeysUnavailableError
from bridge.web.jwks_endpoint import read_keys
from bridge.web.token_keys import TokenKeys
from bridge.web.tokens import TokenError, read_user
from tests.support.jwks_server import PATH, JwksServer, SigningKey
from tests.support.waiting import eventually

USER = UUID("7d9f1a52-8f0e-4f7c-9a32-0f4f0d3d9b11")
SECRET = "a-secret-of-this-test-that-is-long-enough"
EC, RSA, STRANGER = SigningKey("ec"), SigningKey("rsa", "RS256"), SigningKey("ec")
GOOD = {"sub": str(USER), "aud": "authenticated", "role": "authenticated", "exp": 4_000_000_000}


@pytest.fixture(scope="module")
def server() -> Iterator[JwksServer]:
    server = JwksServer(EC, RSA)
    yield server
    server.close()


def keys_of(server: JwksServer, secret: str | None = None) -> TokenKeys:
    def read(address: str) -> dict[str, jwt.PyJWK]:
        if server.is_closed:
            threading.Event().wait()  # for ever: in a later test this thread would log that nobody answers
        return read_keys(address)

    jwks = Jwks(server.address, read)
    eventually(lambda: _is_read(jwks), what="keys that were read")
    return TokenKeys(secret, jwks)


def _is_read(jwks: Jwks) -> bool:
    try:
        return jwks.key("ec") is not None
    except KeysUnavailableError:
        return False


@pytest.fixture(scope="module", params=[None, SECRET], ids=["keys alone", "beside a secret"])
def keys(server: JwksServer, request: pytest.FixtureRequest) -> TokenKeys:
    return keys_of(server, request.param)


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES256", "RS256"])
def test_a_token_of_a_published_key_names_its_user(keys: TokenKeys, key: SigningKey) -> None:
    assert read_user(f"Bearer {key.token(USER)}", keys) == USER


def test_the_secret_serves_beside_published_keys(server: JwksServer) -> None:
    token = jwt.encode(GOOD, SECRET, "HS256", headers={"kid": "of the secret"})

    assert read_user(f"Bearer {token}", keys_of(server, SECRET)) == USER
    with pytest.raises(TokenError):
        read_user(f"Bearer {token}", keys_of(server))


def by_hand(header: dict[str, Any], secret: bytes) -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    text = f"{part(json.dumps(header).encode())}.{part(json.dumps(GOOD).encode())}"
    return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def public_texts(key: SigningKey) -> list[bytes]:
    """The public key in the forms that an attacker may take for a shared secret."""
    public = key.private.public_key()
    return [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(key.published()).encode(),
    ]


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES256", "RS256"])
@pytest.mark.parametrize("form", [0, 1, 2])
@pytest.mark.parametrize("claimed", ["HS256", "ES256", "RS256", "HS512", "none"])
def test_a_public_key_is_no_secret(keys: TokenKeys, key: SigningKey, form: int, claimed: str) -> None:
    """S1: HS256 signed with the public key, under every algorithm that the header may claim."""
    token = by_hand({"alg": claimed, "typ": "JWT", "kid": key.kid}, public_texts(key)[form])

    with pytest.raises(TokenError):
        read_user(f"Bearer {token}", keys)


@pytest.mark.parametrize(
    "token",
    [
        STRANGER.token(USER),  # another key under the id of ours
        EC.token(USER, {"kid": "rsa"}),
        RSA.token(USER, {"kid": "ec"}),
        EC.token(USER, {"kid": ""}),
        jwt.encode(GOOD, EC.private, "ES256"),  # no id
        jwt.encode(GOOD, RSA.private, "RS512", headers={"kid": "rsa"}),
        jwt.encode(GOOD, RSA.private, "PS256", headers={"kid": "rsa"}),
        EC.token(USER, {"crit": ["unheard-of"], "unheard-of": 1}),
        EC.token(USER, exp=1),
        EC.token(USER, aud=["authenticated"]),
        EC.token(USER, role="service_role"),
        EC.token(USER, sub="root"),
        EC.token(USER)[:-4],
        by_hand({"alg": "none", "kid": "ec"}, b"")[:-43],
        by_hand({"alg": ["ES256"], "kid": "ec"}, b""),
        by_hand({"kid": "ec"}, b""),
        by_hand({"alg": "ES256", "kid": ["ec"]}, b""),
        by_hand({"alg": "ES256", "kid": {}}, b""),
        by_hand({"alg": "ES256", "kid": None}, b""),
    ],
)
def test_every_other_token_is_refused(keys: TokenKeys, token: str) -> None:
    with pytest.raises(TokenError):
        read_user(f"Bearer {token}", keys)


@pytest.mark.parametrize("name", ["jku", "x5u", "kid"])
@pytest.mark.parametrize("target", ["/evil.json", "/../../etc/passwd", "/169.254.169.254"])
def test_no_address_or_path_in_a_header_is_read(name: str, target: str) -> None:
    """S2: keys come from the address that the operator has set, whatever a token names."""
    server, evil = JwksServer(EC), JwksServer(STRANGER)
    try:
        keys = keys_of(server)
        before = list(server.requests)
        token = STRANGER.token(USER, {"kid": "other", name: evil.base + target, "jwk": STRANGER.published()})
        with pytest.raises(TokenError):
            read_user(f"Bearer {token}", keys)
        assert evil.requests == []
        assert server.requests == before == [PATH]
    finally:
        server.close()
        evil.close()


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, None),
        ({"supabase_url": "https://x.supabase.co"}, f"https://x.supabase.co{PATH}"),
        ({"supabase_url": "http://127.0.0.1:54321/"}, f"http://127.0.0.1:54321{PATH}"),
        ({"supabase_url": "https://gateway.example/supabase"}, None),
        ({"supabase_url": "https://x.supabase.co", "supabase_jwt_secret": SECRET}, None),
        ({"supabase_jwks_url": "https://x/k.json", "supabase_jwt_secret": SECRET}, "https://x/k.json"),
        ({"supabase_jwks_url": "https://x/k.json", "supabase_url": "https://y"}, "https://x/k.json"),
    ],
)
def test_keys_are_read_where_the_settings_say(given: dict[str, Any], address: str | None) -> None:
    settings = load_settings(_env_file=None, **given)

    assert settings.jwks_url == address
    assert bool(TokenKeys.of(settings)) is (address is not None or "supabase_jwt_secret" in given)

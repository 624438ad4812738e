"""Reads the public keys that a project publishes at an address (a JSON Web Key Set, RFC 7517)."""

import json
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import jwt

# Of each step, and of the whole: an endpoint that sends single bytes never exceeds the first.
STEP_SECONDS, FETCH_SECONDS = 3.0, 5.0
DOCUMENT_MOST_BYTES = 65_536  # a hundred times what a project with keys to rotate publishes
KEYS_MOST = 100  # that are looked at: a project has the one in use, the next and some old ones
KID_MOST = 200  # characters: an id is a UUID or a hash
_RSA_LEAST_BITS = 2048  # shorter ones are within reach of who has many machines
# The algorithm follows from the kind of key. A shared secret ("oct") is no kind that may be published.
_ALGORITHMS = {("EC", "P-256"): "ES256", ("RSA", None): "RS256"}


class JwksError(Exception):
    """The keys cannot be read. The text says why, and names no address."""


def read_keys(address: str) -> dict[str, jwt.PyJWK]:
    """The keys at `address`, by their ids, without those that cannot verify a token. Raises JwksError."""
    try:
        document = json.loads(_get(address))
    except (ValueError, RecursionError):
        raise JwksError("its answer is not JSON") from None
    published = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(published, list):
        raise JwksError('its answer has no list "keys"')
    keys: dict[str, jwt.PyJWK] = {}
    for one in published[:KEYS_MOST]:
        if (key := _verification_key(one)) is not None:
            keys.setdefault(one["kid"], key)
    return keys


def _verification_key(one: Any) -> jwt.PyJWK | None:
    try:
        algorithm = _ALGORITHMS[one["kty"], one.get("crv")]
        is_for_signatures = one.get("use", "sig") == "sig" and "verify" in one.get("key_ops", ["verify"])
        has_good_id = isinstance(one["kid"], str) and 0 < len(one["kid"]) <= KID_MOST
        # "d" is the private part: who publishes it has no key any more.
        if one.get("alg", algorithm) != algorithm or not is_for_signatures or not has_good_id or "d" in one:
            return None
        key = jwt.PyJWK(one, algorithm)
    except Exception:  # noqa: BLE001 -- whatever is wrong with one key, the others are good
        return None
    return None if algorithm == "RS256" and key.key.key_size < _RSA_LEAST_BITS else key


def _get(address: str) -> bytes:
    """The body at `address`. A redirect is an answer like any other that is not 200: it is not followed."""
    parts = urlsplit(address)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=STEP_SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.connect()
        deadline = threading.Timer(FETCH_SECONDS, _cut, [connection.sock])
        deadline.start()
        try:
            connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "mobvibe-bridge"})
            response = connection.getresponse()
            body = response.read(DOCUMENT_MOST_BYTES + 1)
        finally:
            deadline.cancel()
    except (OSError, HTTPException, ValueError) as error:
        raise JwksError(f"it does not answer ({type(error).__name__})") from None
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        raise JwksError(f"it answers with status {response.status}")
    if len(body) > DOCUMENT_MOST_BYTES:
        raise JwksError(f"its answer is larger than {DOCUMENT_MOST_BYTES} bytes")
    return body


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # wakes who reads; TLS has no say in it

"""Whether a request that changes something was meant by the person in front of the browser.

A foreign page can make a browser send a form here, with our cookie. It cannot read our pages, so it does not know the
token in them, and the browser says where the form came from.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import MutableMapping
from typing import Any

_SECRET_BYTES = 32  # what cannot be guessed, also by many tries; and as long as a hash, with which it is masked
FIELD, HEADER = "csrf", "X-CSRF-Token"


def token_of(cookie: MutableMapping[str, Any]) -> str:
    """A token for a page: the secret of this browser, masked in another way each time.

    Pages are compressed, and hold what an address says. How long such a page is would tell, after many requests, what
    else is in it every time.
    """
    if not isinstance(cookie.get(FIELD), str):
        cookie[FIELD] = secrets.token_urlsafe(_SECRET_BYTES)
    mask = secrets.token_bytes(_SECRET_BYTES)
    return urlsafe_b64encode(mask + _xor(mask, _hash(cookie[FIELD]))).decode()


def was_meant(cookie: MutableMapping[str, Any], token: str | None, origin: str | None, host: str) -> bool:
    """Whether the request carries a token of this browser, and comes from our own page as far as its origin is said."""
    known = cookie.get(FIELD)
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        return False
    return isinstance(known, str) and token is not None and hmac.compare_digest(_unmasked(token), _hash(known))


def _unmasked(token: str) -> bytes:
    try:
        sent = urlsafe_b64decode(token.encode("ascii"))
    except ValueError:
        return b""
    return _xor(sent[:_SECRET_BYTES], sent[_SECRET_BYTES:]) if len(sent) == 2 * _SECRET_BYTES else b""


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))

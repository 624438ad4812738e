"""Whether a request that changes something was meant by the person in front of the browser.

A foreign page can make a browser send a form here, with our cookie. It cannot read our pages, so it does not know the
token in them, and the browser says where the form came from.
"""

import hmac
import secrets
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

_TOKEN_BYTES = 32  # what cannot be guessed, also by many tries
FIELD, HEADER = "csrf", "X-CSRF-Token"


def token_of(cookie: MutableMapping[str, Any]) -> str:
    """The token of this browser, made when it is first asked for."""
    if not isinstance(cookie.get(FIELD), str):
        cookie[FIELD] = secrets.token_urlsafe(_TOKEN_BYTES)
    return str(cookie[FIELD])


def was_meant(cookie: MutableMapping[str, Any], token: str | None, origin: str | None, host: str) -> bool:
    """Whether the request carries this browser's token and comes from our own page, as far as the browser says so."""
    known = cookie.get(FIELD)
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return False
    return isinstance(known, str) and token is not None and hmac.compare_digest(token.encode(), known.encode())

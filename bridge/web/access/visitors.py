"""Who opens a stream: a user of the app by a token, or somebody who may see the dashboard. For the event loop."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Flask
from itsdangerous import BadSignature
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge.web.access.guard import COOKIE_NAME, SESSION_SECONDS
from bridge.web.access.roles import Access, bearer
from bridge.web.jwks import KeysUnavailableError
from bridge.web.token_keys import TokenKeys
from bridge.web.tokens import KEYS_UNAVAILABLE_TEXT, NO_KEYS_TEXT, TokenError, read_token

# A stream ends after so long at the latest, and its client must prove again who it is: a password may have changed.
_LONGEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Visitor:
    """`user`: whose sessions it may follow; None: everybody's. `name` tells visitors apart; `until`: it asks again."""

    user: UUID | None
    name: str
    until: datetime


class Visitors:
    def __init__(self, app: Flask, access: Access, keys: TokenKeys) -> None:
        self._app = app
        self._access = access
        self._keys = keys

    def visitor(self, request: Request) -> Visitor:
        """Raises HTTPException: with status 401 for who is nobody we know, 503 if that is not known now."""
        authorization = request.headers.get("Authorization")
        until = datetime.now(UTC) + _LONGEST
        if authorization is None or bearer(authorization) is None:
            cookie, host, port = self._cookie(request), request.headers.get("Host", ""), request.scope["server"][1]
            if self._access.role(cookie, None, host, port) is None:
                raise HTTPException(HTTPStatus.UNAUTHORIZED, "Log in, or send a token in the Authorization header")
            return Visitor(None, "dashboard", until)
        if self._access.role({}, authorization, host="") is not None:  # by the service role key
            return Visitor(None, "dashboard", until)
        if not self._keys:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, NO_KEYS_TEXT)
        try:
            token = read_token(authorization, self._keys)
        except KeysUnavailableError as error:
            later = {"Retry-After": str(error.retry_after)}
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, KEYS_UNAVAILABLE_TEXT, later) from None
        except TokenError:
            raise HTTPException(HTTPStatus.UNAUTHORIZED, "Invalid or expired token") from None
        return Visitor(token.user, str(token.user), min(until, token.expires_at))

    def _cookie(self, request: Request) -> dict[str, Any]:
        """The content of the cookie that a login on a page has left."""
        serializer = self._app.session_interface.get_signing_serializer(self._app)  # type: ignore[attr-defined]
        try:
            return dict(serializer.loads(request.cookies.get(COOKIE_NAME, ""), max_age=SESSION_SECONDS))
        except BadSignature:
            return {}

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
from bridge.web.tokens import TokenError, read_token

# A stream ends after so long at the latest, and its client must prove again who it is: a password may have changed.
_LONGEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Visitor:
    """`user`: whose sessions it may follow; None: everybody's. `name` tells visitors apart; `until`: it asks again."""

    user: UUID | None
    name: str
    until: datetime


class Visitors:
    def __init__(self, app: Flask, access: Access, jwt_secret: str | None) -> None:
        self._app = app
        self._access = access
        self._jwt_secret = jwt_secret

    def visitor(self, request: Request) -> Visitor:
        """Raises HTTPException with status 401 for who is nobody we know."""
        authorization = request.headers.get("Authorization")
        until = datetime.now(UTC) + _LONGEST
        if authorization is None or bearer(authorization) is None:
            if self._access.role(self._cookie(request), None, request.headers.get("Host", "")) is None:
                raise HTTPException(HTTPStatus.UNAUTHORIZED, "Log in, or send a token in the Authorization header")
            return Visitor(None, "dashboard", until)
        if self._access.role({}, authorization, host="") is not None:  # by the service role key
            return Visitor(None, "dashboard", until)
        if self._jwt_secret is None:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "Tokens cannot be checked: SUPABASE_JWT_SECRET is not set"
            )
        try:
            user, expires = read_token(authorization, self._jwt_secret)
        except TokenError:
            raise HTTPException(HTTPStatus.UNAUTHORIZED, "Invalid or expired token") from None
        return Visitor(user, str(user), min(until, expires))

    def _cookie(self, request: Request) -> dict[str, Any]:
        """The content of the cookie that a login on a page has left."""
        serializer = self._app.session_interface.get_signing_serializer(self._app)  # type: ignore[attr-defined]
        try:
            return dict(serializer.loads(request.cookies.get(COOKIE_NAME, ""), max_age=SESSION_SECONDS))
        except BadSignature:
            return {}

"""Supabase's user tokens, signed with HS256: which user sends a request."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

AUDIENCE = "authenticated"
LEEWAY_SECONDS = 10  # tolerated difference between this machine's clock and that of the token's issuer


class TokenError(Exception):
    """A token is not accepted. The reason is for the log, never for the caller."""


def read_user(authorization: str | None, secret: str) -> UUID:
    """The user whose token an Authorization header carries. Raises TokenError with the reason."""
    return read_token(authorization, secret)[0]


def read_token(authorization: str | None, secret: str) -> tuple[UUID, datetime]:
    """The user whose token an Authorization header carries, and when it expires. Raises TokenError with the reason.

    The project's own keys (anon, service_role) are signed with the same secret, but are not users: they are refused
    for their role and their missing subject.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenError("no bearer token")
    try:
        claims = jwt.decode(
            token.strip(),
            secret,
            algorithms=["HS256"],  # fixed here: the token's own header must not choose it
            audience=AUDIENCE,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "sub", "aud"], "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise TokenError(f"{type(error).__name__}: {error}") from None
    if claims.get("role") != AUDIENCE:
        raise TokenError("the role is not 'authenticated'")
    try:
        return UUID(claims["sub"]), datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, AttributeError, TypeError):
        raise TokenError("the subject is not a UUID") from None
    except OverflowError:
        raise TokenError("it expires in a year that is no year") from None


def make_token(user: UUID, secret: str, lifetime: timedelta) -> str:
    """Make a user token, for development and tests."""
    claims = {"sub": str(user), "aud": AUDIENCE, "role": AUDIENCE, "exp": datetime.now(UTC) + lifetime}
    return jwt.encode(claims, secret, algorithm="HS256")

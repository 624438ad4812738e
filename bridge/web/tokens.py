"""Supabase's user tokens: which user sends a request."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import jwt

from bridge.web.token_keys import TokenKeys

AUDIENCE = "authenticated"
LEEWAY_SECONDS = 10  # tolerated difference between this machine's clock and that of the token's issuer

# What callers are told when none can be checked, and when one cannot be checked now.
NO_KEYS_TEXT = "Tokens cannot be checked: neither SUPABASE_JWT_SECRET nor SUPABASE_JWKS_URL is set"
KEYS_UNAVAILABLE_TEXT = "Tokens cannot be checked now, try again later"


class TokenError(Exception):
    """A token is not accepted. The reason is for the log, never for the caller."""


class Token(NamedTuple):
    """What a user's token says."""

    user: UUID
    expires_at: datetime
    tier: str | None
    """Of `app_metadata`, which the project writes. Users write `user_metadata` themselves: it says nothing here."""


def read_user(authorization: str | None, keys: TokenKeys) -> UUID:
    """The user whose token an Authorization header carries. Raises as `read_token`."""
    return read_token(authorization, keys).user


def read_token(authorization: str | None, keys: TokenKeys) -> Token:
    """The token that an Authorization header carries.

    Raises TokenError with the reason, KeysUnavailableError if it cannot be checked now.
    The project's own keys (anon, service_role) are signed with the same secret, but are not users: they are refused
    for their role and their missing subject.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenError("no bearer token")
    try:
        claims = _claims(token.strip(), keys)
    except jwt.PyJWTError as error:
        raise TokenError(f"{type(error).__name__}: {error}") from None
    if claims.get("role") != AUDIENCE:
        raise TokenError("the role is not 'authenticated'")
    try:
        return Token(UUID(claims["sub"]), datetime.fromtimestamp(claims["exp"], UTC), _tier(claims))
    except (ValueError, AttributeError, TypeError):
        raise TokenError("the subject is not a UUID") from None
    except OverflowError:
        raise TokenError("it expires in a year that is no year") from None


def _tier(claims: dict[str, Any]) -> str | None:
    metadata = claims.get("app_metadata")
    tier = metadata.get("tier") if isinstance(metadata, dict) else None
    return tier if isinstance(tier, str) else None


def _claims(token: str, keys: TokenKeys) -> dict[str, Any]:
    found = keys.find(jwt.get_unverified_header(token))
    if found is None:
        raise TokenError("no key has its algorithm and its key id")
    key, algorithm = found
    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],  # of the key: the token's own header must not choose it
        audience=AUDIENCE,
        leeway=LEEWAY_SECONDS,
        options={"require": ["exp", "sub", "aud"], "strict_aud": True},
    )


def make_token(user: UUID, secret: str, lifetime: timedelta, **more: Any) -> str:
    """Make a user token, for development and tests; `more` are its other claims."""
    claims = {"sub": str(user), "aud": AUDIENCE, "role": AUDIENCE, "exp": datetime.now(UTC) + lifetime, **more}
    return jwt.encode(claims, secret, algorithm="HS256")

"""Which key verifies a token: the project's secret, or one that the project publishes. Each has one algorithm."""

from typing import Any

import jwt

from bridge.settings import Settings
from bridge.web.jwks import Jwks

_SECRETS_ALGORITHM = "HS256"


class TokenKeys:
    def __init__(self, secret: str | None, jwks: Jwks | None = None) -> None:
        self._secret = secret
        self._jwks = jwks

    @classmethod
    def of(cls, settings: Settings) -> "TokenKeys":
        secret, address = settings.supabase_jwt_secret, settings.jwks_url
        return cls(secret.get_secret_value() if secret else None, Jwks(address) if address else None)

    def __bool__(self) -> bool:
        """Whether any token can be checked."""
        return self._secret is not None or self._jwks is not None

    def start(self) -> None:
        if self._jwks is not None:
            self._jwks.start()

    def find(self, header: dict[str, Any]) -> tuple[Any, str] | None:
        """The key for a token with this header, and the key's algorithm; None: there is none.

        The header says only where to look. It holds what its sender likes: no part of it is an algorithm, an address or
        a path to us. Raises KeysUnavailableError.
        """
        if header.get("alg") == _SECRETS_ALGORITHM:  # its `kid` is of no published key
            return None if self._secret is None else (self._secret, _SECRETS_ALGORITHM)
        if self._jwks is None or not isinstance(header.get("kid"), str):
            return None
        key: jwt.PyJWK | None = self._jwks.key(header["kid"])
        return None if key is None else (key, key.algorithm_name)

"""Which role a request has: by the cookie of a login, by the service role key, or by the machine it comes from."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from bridge.settings import Settings

# scrypt's cost for the key that signs cookies: a cookie lets its owner test guesses of the password offline, and each
# guess costs this much (16 MB and some 50 ms).
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**14, 8, 1
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}


class Role(StrEnum):
    READER = "reader"
    ADMIN = "admin"


class Access:
    """Whom the settings admit: who logs in; and without a password who is on this machine, in development.

    READ_ONLY makes every administrator a reader.
    """

    def __init__(self, settings: Settings) -> None:
        self._user = settings.dashboard_user
        self._passwords = [
            (role, password.get_secret_value())
            for role, password in (
                (Role.ADMIN, settings.dashboard_password),
                (Role.READER, settings.dashboard_reader_password),
            )
            if password is not None
        ]
        key = settings.supabase_service_role_key
        self._service_key = "" if key is None else key.get_secret_value()
        self._highest = Role.READER if settings.read_only else Role.ADMIN
        self.asks_for_password = bool(self._passwords)
        self._admin_port = settings.admin_port
        self.is_open = not self._passwords and not settings.is_production and is_local(settings.pages_host)

    def cookie_key(self) -> bytes:
        """The key that signs cookies. The same in all web processes, and another once a password changes."""
        if not self._passwords:
            return secrets.token_bytes(32)
        secret = "\0".join([self._user, *(password for _, password in self._passwords)])
        return hashlib.scrypt(secret.encode(), salt=b"mobvibe dashboard", n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)

    def log_in(self, user: str, password: str) -> Role | None:
        """The role that a name and a password give. Compares everything, so that the time tells nothing."""
        same_user = hmac.compare_digest(user.encode(), self._user.encode())
        roles = [role for role, known in self._passwords if hmac.compare_digest(password.encode(), known.encode())]
        return self._limited(roles[0]) if same_user and roles else None

    def role(
        self, cookie: Mapping[str, Any], authorization: str | None, host: str, port: int | None = None
    ) -> Role | None:
        """The role of a request, by its cookie's content, its Authorization header and the host name it asks for.

        `port`: the one that took the connection. With ADMIN_PORT, nobody is an administrator at the public port for
        saying that he asks for this machine.
        """
        if self.has_service_key(authorization):
            return self._highest
        if self._passwords:
            # Only what a login gives: who knows the readers' password alone must not be able to sign an administrator.
            known = cookie.get("role")
            return self._limited(Role(known)) if known in {role for role, _ in self._passwords} else None
        # Another page in the developer's browser can make a name of its own lead to this machine, but not one of these.
        is_open = self.is_open and self._admin_port in (None, port)
        return self._highest if is_open and name_of(host) in LOCAL_NAMES else None

    def has_service_key(self, authorization: str | None) -> bool:
        """Whether an Authorization header carries the service role key."""
        key, known = bearer(authorization), self._service_key
        return bool(known) and key is not None and hmac.compare_digest(key.encode(), known.encode())

    def _limited(self, role: Role) -> Role:
        return Role.READER if self._highest is Role.READER else role


def bearer(authorization: str | None) -> str | None:
    """The token of an Authorization header. None: it carries none; a proxy before us may ask for a Basic password."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def is_local(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def name_of(host: str) -> str:
    """The name in a Host header, without its port, in small letters."""
    name, colon, port = host.strip().lower().rpartition(":")
    return name if colon and port.isdigit() else host.strip().lower()

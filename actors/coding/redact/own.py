"""The secrets of this process: what its settings and its environment hold."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from actors.coding.redact.known import KnownSecrets

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|DSN|AUTH", re.IGNORECASE)
_ADDRESS = re.compile(r"://([^\s/:@]*):([^\s/]+)@")
_DSN = re.compile(r"\bpassword\s*=\s*('(?:[^'\\]|\\.)+'|[^\s']+)", re.IGNORECASE)


def own_secrets(settings: Iterable[tuple[str, Any]], environment: Mapping[str, str]) -> KnownSecrets:
    """Secret settings, variables with a name of a secret, and passwords in addresses of both."""
    values = [value.get_secret_value() for _, value in settings if hasattr(value, "get_secret_value")]
    return KnownSecrets({*_secrets(values, environment)})


def _secrets(settings: Iterable[str], environment: Mapping[str, str]) -> Iterator[str]:
    for value in settings:
        yield from _passwords(value) if "://" in value else [value]
    for name, value in environment.items():
        yield from _passwords(value)
        if _SECRET_NAME.search(name) and "://" not in value and not value.startswith("/"):
            yield value


def _passwords(value: str) -> Iterator[str]:
    for user, password in _ADDRESS.findall(value):
        if password != user:  # else it is no secret, and the user's name is in ordinary text
            yield from (password, unquote(password))
    for password in _DSN.findall(value):
        yield password.strip("'")

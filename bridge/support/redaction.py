"""Takes secrets out of what leaves the installation: those of the settings, and whatever looks like one."""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from bridge.settings import Settings

_SHOWN = "***"
_PATTERNS = (
    (re.compile(r"(://[^\s:/@]*:)\S+(?=@)"), rf"\1{_SHOWN}"),  # the password in an address
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?"), _SHOWN),  # a JSON web token
    (re.compile(r"(?i)\b(bearer|basic)\s+\S+"), rf"\1 {_SHOWN}"),
    (re.compile(r"(?i)((?:password|passwd|pwd|secret|token|api[_-]?key)[\"']?\s*[=:]\s*)\S+"), rf"\1{_SHOWN}"),
    (re.compile(r"\b(?:sk|pk|rk|gh[opsu]|github_pat|xox[abps]|AKIA|ASIA)[-_]?[A-Za-z0-9_-]{12,}"), _SHOWN),  # API keys
)


class Redaction:
    def __init__(self, settings: Settings) -> None:
        # The longest first: one secret may begin with another.
        self._secrets = sorted(_secrets(settings), key=len, reverse=True)

    def apply(self, value: Any) -> Any:
        """The value with all texts in it redacted: of lists and of objects, whose names stay."""
        if isinstance(value, dict):
            return {name: self.apply(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.apply(item) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _SHOWN)
        for pattern, shown in _PATTERNS:
            text = pattern.sub(shown, text)
        return text


def _secrets(settings: Settings) -> set[str]:
    found = {value.get_secret_value() for _, value in settings if hasattr(value, "get_secret_value")}
    addresses = [urlsplit(text) for text in found if "://" in text]
    passwords = {address.password or "" for address in addresses}
    for address in addresses:  # of Sentinels, and of a key
        passwords |= {value for name, value in parse_qsl(address.query) if name.endswith("password")}
    return (found | passwords | {unquote(password) for password in passwords}) - {""}

"""Passwords in addresses, values of headers and of AWS, signed tokens: secrets that nothing but their place shows."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from actors.coding.redact.found import Beginning, Found, Run


class _Rule(NamedTuple):
    """`secret` and what must be `before` it; `part` matches what may become one, to the end of a text."""

    hints: tuple[str, ...]
    before: str
    secret: str
    part: str
    rest: Run | None
    window: int
    before_length: int = 0


_PASSWORD = r"""[^\s/@?#"'<>|\\`]"""  # noqa: S105 -- a pattern
_PLACEHOLDERS = {
    "password",
    "pass",
    "pwd",
    "secret",
    "postgres",
    "guest",
    "mypassword",
    "yourpassword",
    "your-password",
}
_HEADER = 1024  # characters of a signed token's first part: real ones are shorter, other base64 may be longer
_RULES = [
    _Rule(
        hints=("://",),
        before=r"""://(?P<user>[^\s/:@"'<>]{0,64}):""",
        secret=f"{_PASSWORD}{{1,256}}+(?=@)",
        part=f"{_PASSWORD}{{0,256}}",
        rest=None,
        window=257,  # a password and what ends it
        before_length=70,  # a user's name
    ),
    _Rule(
        hints=("uthorization", "UTHORIZATION"),
        before=r"""(?i:authorization)["']?\s{0,2}[:=]\s{0,2}["']?(?i:bearer|basic|token)\s{1,2}""",
        secret=r"(?=[\w.~+/=-]{0,40}\d)[\w.~+/=-]{16,}+",  # noqa: S106 -- a pattern
        part=r"[\w.~+/=-]{0,40}",
        rest=Run(r"\w.~+/=-"),
        window=41,  # the characters in which a digit must be
        before_length=50,  # the header's name
    ),
    _Rule(
        hints=("ccess_key", "ccessKey", "CCESS_KEY"),
        before=r"""(?i:secret_?access_?key)["']?\s{0,3}[:=]\s{0,3}["']?""",
        secret="[A-Za-z0-9/+]{40,}+",  # noqa: S106 -- a pattern
        part="[A-Za-z0-9/+]{0,39}",
        rest=Run("A-Za-z0-9/+"),
        window=40,  # a value
        before_length=40,  # the variable's name
    ),
    _Rule(
        hints=("eyJ",),
        before=r"(?=eyJ(?<![\w-]eyJ))",
        secret=rf"eyJ[\w-]{{8,{_HEADER}}}+\.eyJ[\w-]{{4,}}+(?:\.[\w-]*+)?",
        part=rf"eyJ[\w-]{{0,{_HEADER}}}+(?:\.(?:e(?:y(?:J[\w-]{{0,3}})?)?)?)?",
        rest=Run(r"\w.-"),
        window=_HEADER + 16,  # and the first characters of the second part
    ),
]
_PATTERNS = [
    (hint, re.compile(f"{rule.before}(?P<secret>{rule.secret})"), rule.rest) for rule in _RULES for hint in rule.hints
]
BEGINNINGS = [
    *(
        Beginning(hint, re.compile(rf"{rule.before}(?P<secret>{rule.part})\Z"), rule.window, rule.before_length)
        for rule in _RULES
        for hint in rule.hints
    ),
    Beginning("e", re.compile(r"(?<![\w-])(?P<secret>ey?)\Z"), 2),
]


def credentials_in(text: str) -> Iterator[Found]:
    for hint, pattern, rest in _PATTERNS:
        if hint in text:
            for match in pattern.finditer(text):
                if "user" not in match.groupdict() or not _is_placeholder(match["secret"], match["user"]):
                    yield Found(*match.span("secret"), rest)


def _is_placeholder(password: str, user: str) -> bool:
    return password == user or password[0] in "$<{[*%." or password.lower() in _PLACEHOLDERS

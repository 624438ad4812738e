"""Secrets of many kinds, made up, each put together here: no file holds one."""

import base64
import json
import random
import string
from collections.abc import Iterator
from typing import NamedTuple

_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


class Planted(NamedTuple):
    """`secret` stands in `text`."""

    kind: str
    text: str
    secret: str


def planted(seed: int) -> list[Planted]:
    """One of each kind, other ones for each seed."""
    return list(_planted(random.Random(seed)))


def _planted(source: random.Random) -> Iterator[Planted]:
    def some(length: int, characters: str = _LETTERS) -> str:
        return "".join(source.choices(characters, k=length))

    tokens = {
        "anthropic": "sk-ant-" + "api03-" + some(80, _LETTERS + "_-"),
        "openai": "sk-" + "proj-" + some(60, _LETTERS + "_-"),
        "github": "gh" + source.choice("pousr") + "_" + some(36),
        "github fine-grained": "github" + "_pat_" + some(22) + "_" + some(59),
        "gitlab": "glpat" + "-" + some(20),
        "aws id": "AK" + "IA" + some(16, string.ascii_uppercase + string.digits),
        "google": "AI" + "za" + some(35, _LETTERS + "_-"),
        "slack": "xo" + "xb-" + some(12, string.digits) + "-" + some(24),
        "stripe": "sk_" + "live_" + some(24),
        "npm": "np" + "m_" + some(36),
        "pypi": "py" + "pi-AgEIcHlwaS5vcmc" + some(60, _LETTERS + "_-"),
        "supabase": "sb" + "p_" + some(40, _HEX),
        "supabase secret": "sb_" + "secret_" + some(31, _LETTERS + "_-"),
        "sendgrid": "S" + "G." + some(22, _LETTERS + "_-") + "." + some(43, _LETTERS + "_-"),
        "fly": "fm" + "2_" + some(80, _LETTERS + "+/="),
        "jwt": ".".join([_part({"alg": "HS256"}), _part({"role": "service_role", "x": some(9)}), some(43)]),
    }
    for kind, token in tokens.items():
        yield Planted(kind, f'export KEY="{token}"\nnext\n', token)
    for scheme in ("postgres", "redis", "https"):
        password = some(14, _LETTERS + "!*_-")
        yield Planted(f"{scheme} address", f"at {scheme}://app:{password}@db.example:5432/app now", password)
    secret = some(40, _LETTERS + "/+")
    yield Planted("aws secret", f"aws_secret_access_key = {secret}\n", secret)
    secret = some(15) + "7" + some(15)
    yield Planted("header", f"> Authorization: Bearer {secret}\n> accept: */*", secret)
    for newline in ("\n", "\r\n", "\\n"):
        body = newline.join(some(64, _LETTERS + "+/") for _ in range(3))
        label = source.choice(["", "RSA ", "EC ", "OPENSSH "]) + "PRIVATE KEY-----"
        yield Planted(
            "private key", f"-----BEGIN {label}{newline}{body}{newline}-----END {label}{newline}\ndone.", body
        )


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

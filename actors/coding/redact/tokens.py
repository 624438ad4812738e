"""The tokens of known services: a prefix that nothing else has, and at least so many characters."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from actors.coding.redact.found import Beginning, Found, Run


class Token(NamedTuple):
    """A prefix, how it goes on for one of the kinds, then at least so many characters of a class."""

    prefix: str
    kinds: tuple[str, ...]
    characters: str
    least: int


_WORD = "A-Za-z0-9_"
_ONE = ("",)
TOKENS = [
    Token("sk-", ("ant-", "proj-", "svcacct-", "admin-", "or-v1-"), _WORD + "-", 20),  # Anthropic, OpenAI, …
    Token("sk-", _ONE, "A-Za-z0-9", 40),
    Token("gh", ("p_", "o_", "u_", "s_", "r_"), "A-Za-z0-9", 36),  # GitHub
    Token("github_pat_", _ONE, _WORD, 40),
    Token("gl", ("pat-", "rt-", "dt-", "cbt-"), _WORD + "-", 20),  # GitLab
    Token("npm_", _ONE, "A-Za-z0-9", 36),
    Token("pypi-AgE", _ONE, _WORD + "-", 40),
    Token("dckr_pat_", _ONE, _WORD + "-", 20),
    Token("AKIA", _ONE, "A-Z0-9", 16),  # AWS
    Token("ASIA", _ONE, "A-Z0-9", 16),
    Token("AIza", _ONE, _WORD + "-", 35),  # Google
    Token("GOCSPX-", _ONE, _WORD + "-", 28),
    Token("ya29.", _ONE, _WORD + ".-", 30),
    Token("xox", ("b-", "p-", "a-", "r-", "s-"), "A-Za-z0-9-", 20),  # Slack
    Token("xapp-", _ONE, "A-Za-z0-9-", 20),
    Token("hooks.slack.com/services/", _ONE, "A-Za-z0-9/", 30),
    Token("sk_", ("live_", "test_"), "A-Za-z0-9", 16),  # Stripe
    Token("rk_", ("live_", "test_"), "A-Za-z0-9", 16),
    Token("whsec_", _ONE, "A-Za-z0-9+/", 24),
    Token("sbp_", _ONE, "a-f0-9", 40),  # Supabase
    Token("sb_secret_", _ONE, _WORD + "-", 20),
    Token("SG.", _ONE, _WORD + ".-", 60),  # SendGrid
    Token("hf_", _ONE, "A-Za-z0-9", 30),  # Hugging Face
    Token("do", ("p_v1_", "o_v1_"), "a-f0-9", 64),  # DigitalOcean
    Token("fm", ("2_", "1r_", "1a_"), _WORD + "+/=,-", 40),  # Fly
    Token("fo1_", _ONE, _WORD + "-", 40),
    Token("AGE-SECRET-KEY-1", _ONE, "A-Z0-9", 50),
    Token("hvs.", _ONE, _WORD + "-", 24),  # Vault
    Token("dapi", _ONE, "a-f0-9", 32),  # Databricks
    Token("shp", ("at_", "ss_"), "a-fA-F0-9", 32),  # Shopify
    Token("gsk_", _ONE, "A-Za-z0-9", 40),
    Token("xai-", _ONE, "A-Za-z0-9", 40),
    Token("nfp_", _ONE, "A-Za-z0-9", 36),  # Netlify
    Token("lin_api_", _ONE, "A-Za-z0-9", 40),
    Token("tskey-", _ONE, _WORD + "-", 20),  # Tailscale
    # Private keys in base64: "-----BEGIN PRIVATE", "… RSA ", "… EC P", "… OPENSSH"
    Token("LS0tLS1CRUdJTiB", ("QUklWQVRF", "SU0Eg", "FQyBQ", "PUEVOU1NI"), "A-Za-z0-9+/=", 60),
]

# Before a token: no letter or digit, except in an escaped character.
_STARTS = r"(?:(?<![A-Za-z0-9]{0})|(?<=\\[nrt]{0})|(?<=%[0-9A-Fa-f]{{2}}{0}))"
_WINDOW = 128  # longer than each prefix with the characters that make it a token


def _whole(token: Token) -> re.Pattern[str]:
    prefix = re.escape(token.prefix)  # first in the pattern: the search for a constant beginning is fast
    kinds = "|".join(map(re.escape, token.kinds))
    return re.compile(f"{prefix}{_STARTS.format(prefix)}(?:{kinds})[{token.characters}]{{{token.least},}}+")


def _beginning(prefix: str, token: Token) -> str:
    pattern = f"[{token.characters}]{{0,{token.least - 1}}}+"
    for character in reversed(prefix):
        pattern = f"{re.escape(character)}(?:{pattern})?"
    return pattern


_PATTERNS = [(token.prefix, _whole(token), Run(token.characters)) for token in TOKENS]
_KINDS = "|".join(_beginning(token.prefix + kind, token) for token in TOKENS for kind in token.kinds)
BEGINNING = Beginning("", re.compile(f"{_STARTS.format('')}(?P<secret>{_KINDS})\\Z"), _WINDOW)


def tokens_in(text: str) -> Iterator[Found]:
    for prefix, pattern, rest in _PATTERNS:
        if prefix in text:
            for match in pattern.finditer(text):
                yield Found(*match.span(), rest)

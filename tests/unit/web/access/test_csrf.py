"""A change is refused unless our own page sent it.

Rows of docs/reference/security.md: S15.
"""

from typing import Any

import pytest

from bridge.web.access import csrf

HOST = "bridge:8080"


def test_each_page_has_another_token_of_the_same_browser() -> None:
    cookie: dict[str, Any] = {}
    tokens = {csrf.token_of(cookie) for _ in range(3)}

    assert len(tokens) == 3
    assert all(csrf.was_meant(cookie, token, None, HOST) for token in tokens)
    assert not any(csrf.was_meant({csrf.FIELD: "another"}, token, None, HOST) for token in tokens)
    assert not any(token[:20] in other for token in tokens for other in tokens - {token})


@pytest.mark.parametrize(
    ("origin", "meant"),
    [
        (None, True), ("http://bridge:8080", True), ("https://BRIDGE:8080", True),
        ("http://bridge:9090", False), ("http://evil", False), ("null", False), ("http://[evil", False),
    ],
)  # fmt: skip
def test_the_origin_must_be_ours(origin: str | None, meant: bool) -> None:
    cookie: dict[str, Any] = {}
    token = csrf.token_of(cookie)

    assert csrf.was_meant(cookie, token, origin, HOST) is meant


@pytest.mark.parametrize("sent", [None, "", "x", "tä", "A" * 86 + "==", "A" * 88, "QUFB", "\x00"])
def test_what_is_no_token_is_refused(sent: str | None) -> None:
    cookie: dict[str, Any] = {}
    csrf.token_of(cookie)

    assert not csrf.was_meant(cookie, sent, None, HOST)
    assert not csrf.was_meant({}, sent, None, HOST)
    assert not csrf.was_meant({csrf.FIELD: 7}, sent, None, HOST)

"""A change is refused unless our own page sent it."""

from typing import Any

import pytest

from bridge.web.access import csrf


def test_a_browser_keeps_its_token() -> None:
    cookie: dict[str, Any] = {}

    assert csrf.token_of(cookie) == csrf.token_of(cookie)
    assert csrf.token_of(cookie) != csrf.token_of({})


@pytest.mark.parametrize(
    ("known", "sent", "origin", "meant"),
    [
        ("t", "t", None, True), ("t", "t", "http://bridge:8080", True), ("t", "t", "https://BRIDGE:8080", True),
        ("t", "t", "http://bridge:9090", False), ("t", "t", "http://evil", False), ("t", "t", "null", False),
        ("t", "x", None, False), ("t", None, None, False), (None, None, None, False), (None, "", None, False),
        (7, "7", None, False), ("t", "tä", None, False),
    ],
)  # fmt: skip
def test_the_token_and_the_origin_must_be_ours(known: Any, sent: str | None, origin: str | None, meant: bool) -> None:
    assert csrf.was_meant({csrf.FIELD: known}, sent, origin, "bridge:8080") is meant

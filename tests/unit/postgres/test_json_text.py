"""JSON and text as Postgres stores them."""

import pytest

from bridge.errors import PayloadError
from bridge.postgres.json_text import storable_text, to_json


def test_json_that_postgres_refuses_is_made_storable() -> None:
    assert to_json({"a": "\x00", "b": ["\ud800"]}, "payload") == '{"a":"\\ufffd","b":["?"]}'
    assert to_json({"a": "\\u0000"}, "payload") == '{"a":"\\\\u0000"}'
    assert to_json({"a": "😀"}, "payload") == '{"a":"\\ud83d\\ude00"}'
    assert storable_text("a\x00b") == "a�b"


def test_a_value_that_is_not_json_is_named() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (object(), {"x": float("inf")}, {1, 2}, nested):
        with pytest.raises(PayloadError, match="the result cannot be stored as JSON"):
            to_json(value, "result")

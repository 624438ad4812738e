"""What commands about jobs accept as text and as a payload."""

import click
import pytest

from bridge.cli.arguments import TEXT, payload_of


def test_text_that_postgres_cannot_store_is_refused() -> None:
    assert TEXT.convert("ä", None, None) == "ä"
    with pytest.raises(click.BadParameter, match="is not UTF-8 text"):
        TEXT.convert("a\udcff", None, None)


@pytest.mark.parametrize(("text", "problem"), [("{", "is not JSON"), ("7", "must be a JSON object")])
def test_a_payload_is_a_json_object(text: str, problem: str) -> None:
    assert payload_of('{"n": 1}') == {"n": 1}
    with pytest.raises(click.BadParameter, match=problem):
        payload_of(text)

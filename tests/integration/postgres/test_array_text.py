"""Postgres reads an array literal as the elements that it was made of."""

import pytest

from bridge.postgres.array_text import array, quoted
from tests.support.rows import Rows


@pytest.mark.parametrize(
    "elements",
    [
        [], ["a"], ["", " ", "NULL", "null"],
        [None, "NULL", None], ['"', "\\", '\\"', "\\\\"], ["{", "}", ",", "{a,b}"],
        ["a\nb\r\t", "ä€😀", "'", "%s"],
    ],
)  # fmt: skip
def test_each_text_comes_back(rows: Rows, elements: list[str | None]) -> None:
    assert rows.value("SELECT %s::text[]", [array(map(quoted, elements))]) == elements


def test_numbers_need_no_quotes(rows: Rows) -> None:
    assert rows.value("SELECT %s::bigint[]", [array(map(str, [1, -2, 3]))]) == [1, -2, 3]

"""The page on security has each row that is promised, and the tests that it names are there and name the row."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISED = {*(f"S{number}" for number in (*range(1, 10), 13, *range(15, 22), 24, 29))}
ROWS = re.findall(r"^\| (S\d+|-) \|.*\| ([^|]+) \|$", (ROOT / "docs/reference/security.md").read_text(), re.MULTILINE)


def test_each_promised_row_is_there() -> None:
    assert {row for row, _ in ROWS} - {"-"} == PROMISED


@pytest.mark.parametrize(("row", "tests"), ROWS, ids=lambda value: value[:60])
def test_a_test_names_its_row(row: str, tests: str) -> None:
    named = re.findall(r"`([^`]+)`", tests)

    assert named
    for name in named:
        text = (ROOT / "tests" / name).read_text()
        assert row == "-" or re.search(rf"\b{row}\b", text), name

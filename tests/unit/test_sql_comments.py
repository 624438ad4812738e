"""Each SQL function says above its text what it does: its name, a colon, and the sentence."""

import re
from pathlib import Path

import pytest

SQL = Path(__file__).parents[2] / "bridge" / "sql"
FILES = sorted([*SQL.glob("functions/*.sql"), *SQL.glob("triggers/*.sql")])
FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION public\.(\w+)")


def undescribed(text: str) -> list[str]:
    return [name for name in FUNCTION.findall(text) if not re.search(rf"^ *-- {name}: ", text, re.MULTILINE)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_function_is_described(file: Path) -> None:
    assert undescribed(file.read_text("utf-8")) == []


def test_a_function_without_a_description_is_found() -> None:
    assert undescribed("-- other: does it\nCREATE OR REPLACE FUNCTION public.one() RETURNS void") == ["one"]

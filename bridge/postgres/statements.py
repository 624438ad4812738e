"""The statements that are sent to Postgres, by name."""

import re
from functools import cache
from importlib import resources
from typing import LiteralString

from bridge.postgres.calls import calls

_SECTION = re.compile(r"^(?=-- name: (\w+)$)", re.MULTILINE)


def statement(name: str) -> LiteralString:
    """The call of the function with this name, or the statement with this name in `sql/queries`."""
    return statements()[name]


@cache
def statements() -> dict[str, LiteralString]:
    """All statements by name. Each is made only of texts in our own files."""
    found: dict[str, LiteralString] = calls()
    folder = resources.files("bridge").joinpath("sql", "queries")
    for file in (file for file in folder.iterdir() if file.name.endswith(".sql")):
        _, *sections = _SECTION.split(file.read_text("utf-8"))
        found |= zip(sections[::2], map(str.strip, sections[1::2]), strict=True)
    return found

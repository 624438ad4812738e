"""The blocks of code of a Markdown page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    section: str
    language: str
    code: str


def blocks(page: Path) -> Iterator[Block]:
    """In the order of the page."""
    text = page.read_text("utf-8")
    section, end = "", 0
    for found in _FENCE.finditer(text):
        section = [section, *_HEADING.findall(text, end, found.start())][-1]
        end = found.end()
        yield Block(section, found["language"], found["code"])

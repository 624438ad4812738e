"""Texts of others on a terminal: nothing in them steers it, and how many columns they take is known."""

import re
from collections.abc import Iterator
from functools import lru_cache
from unicodedata import category, east_asian_width

_MARKS_MOST = 8  # on one letter; a pile of them would cover the lines above
_NOT_ASCII = re.compile(r"[^ -~]+")
_EMOJI_FORM = "\ufe0f"


def visible(text: str) -> str:
    r"""`text` as one line that can be printed: ESC as `\x1b`, a line break as `\n`, a bidi override as `\u202e`.

    Written out are control and format characters, what no font has, and a combining mark that stands on nothing.
    """
    if text.isascii() and text.isprintable():  # most are, and each log line asks for some
        return text
    return _NOT_ASCII.sub(_written_out, text)


def visible_lines(text: str) -> list[str]:
    """The same line by line."""
    return [visible(line) for line in text.split("\n")]


def display_width(text: str) -> int:
    """The columns that a `visible` text takes: two for a wide East Asian character or an emoji, none for a mark."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, columns: int) -> str:
    """The beginning of a `visible` text in so many columns, with … where something is missing."""
    return text if display_width(text) <= columns else next(_lines(text, columns - 1)) + "…"


def wrap(text: str, columns: int) -> list[str]:
    """A `visible` text in lines of so many columns, two at least."""
    return list(_lines(text, columns))


def _written_out(found: re.Match[str]) -> str:
    marks = _MARKS_MOST if found.start() == 0 else 0  # a mark would join what is printed before
    shown = []
    for char in found[0]:
        marks = marks + 1 if category(char).startswith("M") else 0
        if marks <= _MARKS_MOST and (char.isprintable() or category(char) == "Zs"):
            shown.append(char)
        else:
            shown.append(char.encode("unicode_escape", "surrogatepass").decode())
            marks = _MARKS_MOST
    return "".join(shown)


@lru_cache(maxsize=4096)
def _columns(char: str) -> int:
    if category(char) in ("Mn", "Me"):
        return int(char == _EMOJI_FORM)  # terminals differ in whether it widens the character before it
    return 2 if east_asian_width(char) in "WF" else 1


def _lines(text: str, columns: int) -> Iterator[str]:
    start, left = 0, columns
    for at, char in enumerate(text):
        if _columns(char) > left:
            yield text[start:at]
            start, left = at, columns
        left -= _columns(char)
    yield text[start:]

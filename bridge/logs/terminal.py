"""Makes untrusted text safe for a terminal, and counts the columns that it takes."""

import re
from collections.abc import Iterator
from functools import lru_cache
from unicodedata import category, east_asian_width

_MARKS_MOST = 8  # combining marks on one letter: ordinary text has fewer, and a tall stack would cover the lines above
_NOT_ASCII = re.compile(r"[^ -~]+")
_EMOJI_FORM = "\ufe0f"


def visible(text: str) -> str:
    r"""`text` as one printable line: ESC becomes `\x1b`, a line break `\n`, a bidi override `\u202e`.

    Escaped are control and format characters, unassigned ones, and combining marks without a character before them.
    """
    if text.isascii() and text.isprintable():  # fast path for most texts: each log line calls this for its fields
        return text
    return _NOT_ASCII.sub(_written_out, text)


def visible_lines(text: str) -> list[str]:
    """The lines of `text`, each made `visible`."""
    return [visible(line) for line in text.split("\n")]


def display_width(text: str) -> int:
    """The columns that a `visible` text takes: two for a wide East Asian character or an emoji, 0 for a mark."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, columns: int) -> str:
    """A `visible` text, shortened to `columns` with … at its end when it is wider."""
    return text if display_width(text) <= columns else next(_lines(text, columns - 1)) + "…"


def wrap(text: str, columns: int) -> list[str]:
    """A `visible` text, split into lines of at most `columns`, which must be at least 2."""
    return list(_lines(text, columns))


def _written_out(found: re.Match[str]) -> str:
    marks = _MARKS_MOST if found.start() == 0 else 0  # a mark at the start would join the character printed before it
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
        return int(char == _EMOJI_FORM)  # on some terminals it makes the character before it wider: allow for that
    return 2 if east_asian_width(char) in "WF" else 1


def _lines(text: str, columns: int) -> Iterator[str]:
    start, left = 0, columns
    for at, char in enumerate(text):
        if _columns(char) > left:
            yield text[start:at]
            start, left = at, columns
        left -= _columns(char)
    yield text[start:]

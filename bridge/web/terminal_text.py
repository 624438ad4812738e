"""What a terminal printed, as HTML: its colours as classes, everything else as text. static/ansi.js does the same."""

import re

from markupsafe import Markup

_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_NORMAL, _BRIGHT, _DEFAULT = 30, 90, 39  # the first codes of the colours, and the code of none
_STYLE = re.compile(r"\x1b\[([0-9;]*)m")
# Colours of a palette or by their parts, which are not shown: their numbers are no codes.
_PALETTE = re.compile(r"\b[34]8;(?:5;\d+|2;\d+;\d+;\d+)")
_NOTHING = "999"  # a code that means nothing
# Sequences that move a cursor, which is not here, or set a title; and control characters but tabs and line feeds.
_OTHERS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")


def coloured(text: str) -> Markup:
    """The text with a span for each stretch of one style."""
    shown = Markup()
    styles: frozenset[str] = frozenset()
    for number, part in enumerate(_STYLE.split(text)):
        if number % 2:
            styles = _after(styles, part)
        elif plain := _OTHERS.sub("", part):
            shown += Markup('<span class="{}">{}</span>').format(" ".join(sorted(styles)), plain) if styles else plain
    return shown


def last_style(text: str) -> str:
    """The classes in which a text goes on that follows this one."""
    styles: frozenset[str] = frozenset()
    for codes in _STYLE.findall(text):
        styles = _after(styles, codes)
    return " ".join(sorted(styles))


def _after(styles: frozenset[str], codes: str) -> frozenset[str]:
    for code in (int(code[:4] or 0) for code in _PALETTE.sub(_NOTHING, codes).split(";")):
        if code == 0:
            styles = frozenset()
        elif code == 1:
            styles |= {"bold"}
        elif (colour := _colour(code)) is not None or code == _DEFAULT:
            styles = frozenset(style for style in styles if not style.startswith("ansi-"))
            styles |= {f"ansi-{colour}"} if colour else set()
    return styles


def _colour(code: int) -> str | None:
    for first in (_NORMAL, _BRIGHT):
        if first <= code < first + len(_COLOURS):
            return _COLOURS[code - first]
    return None

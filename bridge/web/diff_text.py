"""A diff as HTML: a class for each line that was added or removed. static/conversation.js does the same."""

from markupsafe import Markup

_CLASSES = {"+": "added", "-": "removed", "@": "hunk"}


def diffed(text: str) -> Markup:
    return Markup().join(map(_line, text.splitlines(keepends=True)))


def _line(line: str) -> Markup:
    name = "" if line.startswith(("+++", "---")) else _CLASSES.get(line[:1], "")
    return Markup('<span class="{}">{}</span>').format(name, line) if name else Markup("{}").format(line)

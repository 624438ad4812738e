"""Pieces of Markdown that the generated pages share."""

from collections.abc import Iterable, Sequence


def heading(title: str, source: str) -> str:
    """The title of a page, and what it is made from."""
    return f"# {title}\n\nMade from {source} by `make reference`; do not edit it here.\n"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar in a cell does not end it."""
    lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def code(text: str) -> str:
    """A word or a line in the type of code; nothing for nothing."""
    return f"`{text}`" if text else ""

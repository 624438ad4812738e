"""Arrays as text, for parameters of statements.

The driver converts each element of a list by itself: for a short job that takes longer than the job, and for a claim as
long as half of the statement.
"""

from collections.abc import Iterable


def array(elements: Iterable[str]) -> str:
    """An array literal of elements that need no quotes, or have them."""
    return f"{{{','.join(elements)}}}"


def quoted(text: str | None) -> str:
    """As an element of an array literal."""
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

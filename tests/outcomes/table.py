"""The ways to end and their expected outcomes, as tables for the documents."""

import re
from collections.abc import Iterable

from tests.outcomes.ends import End, all_ends

_HEADINGS = {
    "returns": "The actor returns",
    "raises": "The actor raises",
    "middleware": "A middleware",
    "is interrupted": "The actor is interrupted",
    "its process": "Something happens to the process",
}
_COLUMNS = ("", "actor", "row", "ledger", "`error_message`", "log", "runs again")


def table() -> str:
    """Markdown: one table per group, one row for ends that differ only in the kind of actor."""
    ends = all_ends()
    return "\n".join(
        _section(heading, [end for end in ends if end.group == group]) for group, heading in _HEADINGS.items()
    )


def _section(heading: str, ends: Iterable[End]) -> str:
    alike: dict[tuple[object, ...], list[End]] = {}
    for end in ends:
        alike.setdefault((end.name, end.status, end.ledger, end.error, end.log), []).append(end)
    rows = [_COLUMNS, ["---"] * len(_COLUMNS), *map(_cells, alike.values())]
    return "\n".join([f"## {heading}", "", *(f"| {' | '.join(row)} |" for row in rows), ""])


def _cells(alike: list[End]) -> list[str]:
    end = alike[0]
    kinds = ", ".join(dict.fromkeys(_kind(one) for one in alike))
    error = f"`{_words(end.error)}`" if end.error else ""
    name = end.name.replace("__str__", "`__str__`")
    return [name, kinds, end.status, ", ".join(end.ledger), error, ", ".join(end.log), _again(end)]


def _kind(end: End) -> str:
    if end.actor.endswith("_async"):
        return "async"
    return "plain" if end.actor in ("plain_returns", "plain_raises", "expects") else "sync"


def _words(pattern: str) -> str:
    """The pattern of an error, as readable text."""
    text = pattern.replace("x{7000,}", "xxx…").replace(".*", "…").removeprefix("^").removesuffix("$")
    return re.sub(r"\\(.)", r"\1", text).replace("\u202e", "\\u202e").replace("|", "\\|")


def _again(end: End) -> str:
    if end.ledger[0] == "released":
        return "yes, no retry spent"
    if len(end.ledger) == 1:
        return "no"
    return "yes, isolated" if end.ledger[0] == "crashed" else "yes"

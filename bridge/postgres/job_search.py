"""Jobs by their words: what the index finds among all, and what it may not have yet, which is looked at."""

from collections.abc import Callable
from typing import Any

from bridge.errors import PostgresBusyError, RightsError, SchemaError

Row = dict[str, Any]
Call = Callable[[str, dict[str, Any]], list[Row]]

BEGINNING = "-infinity"  # before all jobs, as Postgres writes it
_NOTHING = {"reached": BEGINNING, "since": BEGINNING}
_CANDIDATES_MOST = 1_000  # of the index, compared with conditions that it does not know: some ten milliseconds
_SPARE = 50  # candidates: for jobs that have changed since they were indexed
_WALKED = 20_000  # rows, in some twenty milliseconds: words of more than one job in two hundred fill a page with them


def search_jobs(call: Call, asked: dict[str, Any], *, searched: int) -> tuple[list[Row], str | None]:
    """The page, and if something may be missing on it, one line that says what was searched.

    `asked`: the parameters of list_jobs. Of what is not indexed, the latest `searched` of each status are looked at.
    """
    progress, indexed, limits = _find_indexed(call, asked)
    looked = call("list_jobs", asked | {"looked_at": searched, "since": progress["since"]})
    found = {row["id"]: row for row in (*indexed, *looked)}
    rows = sorted(found.values(), key=lambda row: (row["changed_at"], row["id"]), reverse=True)[: asked["limit"]]
    if len(rows) == asked["limit"] and rows[-1] in looked:
        return rows, None  # what is not indexed is older than that
    return rows, limits or _what_is_missing(call, progress["reached"], searched)


def _find_indexed(call: Call, asked: dict[str, Any]) -> tuple[Row, list[Row], str | None]:
    """How far the index reaches (search_progress), what it finds, and what limited that."""
    try:
        progress = call("search_progress", {})
        if not progress:
            return _NOTHING, [], None
        for candidates in (asked["limit"] + _SPARE, max(_CANDIDATES_MOST, 2 * asked["limit"])):
            wanted = asked | {"candidates": candidates, "walked": _WALKED}
            indexed = call("list_indexed_jobs", wanted)
            if len(indexed) == asked["limit"] or call("count_indexed_jobs", wanted)[0]["jobs"] < candidates:
                return progress[0], indexed, None
        limits = f"Only the latest {candidates:,} jobs with these words were compared with the other conditions"
        return progress[0], indexed, limits
    except PostgresBusyError:
        return _NOTHING, [], "Too many jobs have these words: add a word, status:, queue: or actor:"
    except (SchemaError, RightsError):  # schema 11 has no index, and is supported; a role of its own may lack the right
        return _NOTHING, [], None


def _what_is_missing(call: Call, reached: str, searched: int) -> str | None:
    if not call("has_ended_since", {"since": reached, "searched": searched})[0]["found"]:
        return None
    which = "" if reached == BEGINNING else f" that ended after {reached[:16]} UTC"
    return (
        f"Of the jobs{which} only the latest {searched:,} of each status were searched: the others are not indexed yet"
    )

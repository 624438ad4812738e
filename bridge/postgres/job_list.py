"""Lists of jobs, a page at a time: each says where the next one begins, so that no page is counted or skipped over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bridge.errors import BridgeError
from bridge.job import Status
from bridge.postgres.job_filter import JobFilter
from bridge.postgres.job_search import BEGINNING, search_jobs

SEARCHED = 50_000  # of each status: a list must be quick also over millions of rows, most of which the filter excludes
# Most pages are full after so many.
_SEARCHED_FIRST = 2_000
_FINISHED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)

# `call` of a Link or a Pool.
Call = Callable[[str, dict[str, Any]], list[dict[str, Any]]]


class PageError(BridgeError):
    """A page's beginning that no list has given."""


@dataclass(frozen=True, slots=True)
class Place:
    """Behind which job a page begins."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        """The text that `parse_place` reads, for an address."""
        return f"{self.at.isoformat()}_{self.id}"


def parse_place(text: str) -> Place:
    """Raises PageError for what is not the text of a Place."""
    at, _, job_id = text.partition("_")
    try:
        place = Place(datetime.fromisoformat(at), UUID(job_id))
    except ValueError:
        raise PageError("The beginning of the page is malformed: start at the first page") from None
    if place.at.tzinfo is None:
        raise PageError("The beginning of the page has no time zone: start at the first page")
    return place


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, the one that changed last first, and where the next page begins. None: there may be no more."""

    jobs: list[dict[str, Any]]
    next: Place | None
    note: str | None = None  # one line, if jobs that match may be missing: what was searched


def list_jobs(
    call: Call, jobs: JobFilter, *, limit: int, error_most: int, after: Place | None = None, searched: int = SEARCHED
) -> Page:
    """The latest jobs that `jobs` means, among the latest `searched` of each status; with words, among all that are
    indexed, too. Errors and prompts are cut.
    """
    asked = jobs.params() | {
        "limit": limit,
        "error_most": error_most,
        "before_at": after.at if after else None,
        "before_id": after.id if after else None,
        "since": BEGINNING,
    }
    if jobs.id is not None:
        return _page(call("list_chosen_jobs", asked), limit)
    if jobs.text is not None and jobs.session is None:
        rows, note = search_jobs(call, asked, searched=searched)
        return _page(rows, limit, note)
    found = _first_look(call, asked, jobs) if searched > _SEARCHED_FIRST else None
    return _page(call("list_jobs", asked | {"looked_at": searched}) if found is None else found, limit)


def _page(rows: list[dict[str, Any]], limit: int, note: str | None = None) -> Page:
    last = rows[-1] if len(rows) == limit else None
    return Page(rows, Place(last["changed_at"], last["id"]) if last else None, note)


def _first_look(call: Call, asked: dict[str, Any], jobs: JobFilter) -> list[dict[str, Any]] | None:
    """The page, if it is found among the latest few jobs of a status. None: it must be searched for in all.

    It is the page only if all its jobs are ordered by their end, and another one that was found ended before the last
    of them: then every job that was not looked at ended before that, too.
    """
    if jobs.status not in _FINISHED or jobs.session is not None:
        return None
    found = call("list_jobs", asked | {"limit": asked["limit"] + 1, "looked_at": _SEARCHED_FIRST})
    page, rest = found[: asked["limit"]], found[asked["limit"] :]
    is_found = rest and page and rest[0]["changed_at"] < page[-1]["changed_at"]
    return page if is_found and all(row["completed_at"] for row in found) else None

"""The list of sessions, a page at a time: each says where the next one begins, as those of jobs do."""

from dataclasses import dataclass
from typing import Any

from bridge.postgres.job_list import Call, Place


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some sessions, the latest first, and where the next page begins. None: there are no more."""

    sessions: list[dict[str, Any]]
    next: Place | None


def list_sessions(call: Call, *, limit: int, cut: int, after: Place | None = None) -> SessionPage:
    """`limit` sessions behind `after`, their prompts cut to so many characters."""
    asked = {
        "limit": limit + 1,
        "cut": cut,
        "before_at": after.at if after else None,
        "before_id": after.id if after else None,
    }
    rows = call("list_sessions", asked)
    page = rows[:limit]
    return SessionPage(page, Place(page[-1]["created_at"], page[-1]["id"]) if len(rows) > limit else None)

"""What the pages show of sessions. With HIDE_PROMPTS nothing that users wrote, and nothing that was made of it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bridge.postgres.job_list import parse_place
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.session_list import SessionPage, list_sessions
from bridge.postgres.session_requests import session_turn, session_usage
from bridge.web.conversation import conversation
from bridge.web.services import Services
from bridge.web.session_entries import Item

_LISTED = 50  # sessions of a page: some screens, and short look-ups for each
_CUT = 300  # characters of a prompt in a list: some lines
_EVENTS_SHOWN = 1000  # of one page: some ten minutes of an agent's work, and a bound for what a phone loads


@dataclass(frozen=True, slots=True)
class Told:
    """A part of a session's conversation. `last`: the number of its last event, behind which the stream goes on.

    `earlier`: the number before which the events are that come before it; None: there are none.
    """

    items: list[Item]
    last: int
    earlier: int | None


class ShownSessions:
    def __init__(self, services: Services) -> None:
        self._call = services.pool.call
        self.hides_prompts = services.settings.hide_prompts

    def list(self, after: str | None) -> SessionPage | None:
        """The sessions behind the place `after`. None: the database has an older schema. Raises PageError."""
        place = parse_place(after) if after is not None else None
        page = unless_missing(lambda: list_sessions(self._call, limit=_LISTED, cut=_CUT, after=place))
        return page and SessionPage([self._without_hidden(one) for one in page.sessions], page.next)

    def state(self, session_id: UUID) -> dict[str, Any] | None:
        """Its row, its last turn, what it has cost and how many bundles are saved. None: there is no such session."""
        found = self._call("any_session_status", {"session": session_id})
        if not found:
            return None
        turn = session_turn(self._call, session_id, None)
        used = session_usage(self._call, session_id, None)
        saved = self._call("stored_bundles", {"session": session_id})[0]["bundles"]
        return self._without_hidden(found[0] | turn | used | {"bundles": saved})

    def told(self, session_id: UUID, before: int | None = None, *, goes_on: bool) -> Told:
        """Its latest events, or the latest ones before a number. `goes_on`: it has open jobs."""
        found = self._call("last_event_number", {"session": session_id})
        if not found:  # none, or only such as an older version stored, without numbers
            stored = self._call("get_session_events", {"session": session_id, "limit": _EVENTS_SHOWN})
            return Told(conversation(stored[::-1], goes_on=goes_on), 0, None)
        end = found[0]["last_seq"] if before is None else min(before - 1, found[0]["last_seq"])
        after = max(0, end - _EVENTS_SHOWN)
        asked = {"sessions": [session_id], "afters": [after], "limit": end - after}
        events = self._call("follow_sessions", asked) if end > after else []
        last = events[-1]["seq"] if events else after
        return Told(conversation(events, goes_on=goes_on), last, after + 1 if after > 0 else None)

    def _without_hidden(self, session: dict[str, Any]) -> dict[str, Any]:
        if not self.hides_prompts:
            return session
        question = session.get("question") or {}
        return session | {"initial_prompt": None, "question": question if "scope" in question else {}}

"""A fleet whose worker runs coding sessions on this machine, with real stores."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from actors.coding.installation import installation
from actors.coding.session import run_coding_session
from bridge import actor
from tests.support.fleet import Fleet, NewFleet, finished
from tests.support.rows import Rows
from tests.support.turns import close_records

USER = UUID(int=77)
ENDS_SECONDS = 60.0  # for a turn: sandboxes are started on a busy machine


class CodingSessions:
    """Sends prompts, and looks at what came of them."""

    def __init__(self, fleet: Fleet, rows: Rows) -> None:
        self.fleet, self.rows = fleet, rows

    def start(self, prompt: str, **columns: Any) -> tuple[UUID, UUID]:
        """The ids of a new session and of the job of its first turn."""
        session_id = self.rows.add_session(user_id=USER)
        job_id = self.rows.add_job(
            session_id=session_id, actor="run_coding_session", queue="coding", prompt=prompt, **columns
        )
        return session_id, job_id

    def finished(self, job_id: UUID) -> dict[str, Any]:
        return finished(self.rows, job_id, seconds=ENDS_SECONDS)

    def run(self, prompt: str, **columns: Any) -> tuple[UUID, dict[str, Any]]:
        """Wait for the end of the turn. Returns the session's id and the row of the job."""
        session_id, job_id = self.start(prompt, **columns)
        return session_id, self.finished(job_id)

    def events(self, session_id: UUID, *event_types: str) -> list[dict[str, Any]]:
        """The data of the session's events of these types, in order."""
        rows = self.rows.all(
            "SELECT event_type, data FROM session_events WHERE session_id = %s ORDER BY seq", [session_id]
        )
        return [row["data"] for row in rows if row["event_type"] in event_types]

    def kinds(self, session_id: UUID) -> list[str]:
        """The types of the session's events in order, each once where it repeats."""
        rows = self.rows.all("SELECT event_type FROM session_events WHERE session_id = %s ORDER BY seq", [session_id])
        kinds = [row["event_type"] for row in rows]
        return [kind for place, kind in enumerate(kinds) if place == 0 or kind != kinds[place - 1]]


@pytest.fixture
def coding(new_fleet: NewFleet, rows: Rows) -> Iterator[Callable[..., CodingSessions]]:
    """Starts a fleet with settings of its own."""

    def start(**settings: Any) -> CodingSessions:
        fleet = new_fleet(**settings)
        actor(queue_name="coding", max_retries=3, time_limit=float("inf"))(run_coding_session)
        installation.cache_clear()
        return CodingSessions(fleet.start(), rows)

    yield start
    installation.cache_clear()
    close_records()

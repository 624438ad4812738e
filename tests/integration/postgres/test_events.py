"""Events of a session: stored in order, and only from the job's current attempt."""

import json
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from bridge.postgres.attempts import Event
from tests.support.rows import Rows
from tests.support.steps import Steps


def events_of(rows: Rows, session_id: UUID) -> list[tuple[str, object]]:
    found = rows.all("SELECT event_type, data FROM get_session_events(%s)", [session_id])
    return [(row["event_type"], row["data"]) for row in reversed(found)]


@pytest.fixture
def session_id(rows: Rows) -> UUID:
    session_id = rows.add_session()
    rows.add_job(session_id=session_id)
    return session_id


def test_events_are_stored_in_order(steps: Steps, rows: Rows, session_id: UUID) -> None:
    held = steps.started()

    stored = steps.book.add_events([Event(held, "terminal", json.dumps({"n": n})) for n in range(200)])

    assert stored == 200
    assert events_of(rows, session_id) == [("terminal", {"n": n}) for n in range(200)]


def test_events_of_a_stale_attempt_are_not_stored(steps: Steps, rows: Rows, session_id: UUID) -> None:
    worker = steps.add_worker()
    old = steps.started(worker)
    steps.release(old)
    new = steps.started(worker)

    assert (
        steps.book.add_events([Event(old, "terminal", "{}"), Event(replace(new, exec=uuid4()), "terminal", "{}")]) == 0
    )
    assert steps.book.add_events([Event(new, "terminal", '{"new": true}')]) == 1

    assert events_of(rows, session_id) == [("terminal", {"new": True})]


def test_events_of_a_finished_job_are_not_stored(steps: Steps, rows: Rows, session_id: UUID) -> None:
    held = steps.started()
    steps.complete(held)

    assert steps.book.add_events([Event(held, "terminal", "{}")]) == 0


def test_a_job_without_a_session_has_no_stream(steps: Steps, rows: Rows) -> None:
    rows.add_job()

    assert steps.book.add_events([Event(steps.started(), "terminal", "{}")]) == 0

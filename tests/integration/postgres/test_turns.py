"""Calls about a turn may be repeated when their answer was lost: they store once, with events, and answer alike."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from bridge.errors import BridgeError, NotOursError
from bridge.postgres.turns import Budgets, TurnKey, Turns, Usage
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.turns import TurnSteps, said

LIFETIME = timedelta(minutes=30)
EVENT = [("text", {"x": 1})]
REQUEST = uuid4()
NONE_SET = Budgets(None, None, None)


@pytest.fixture
def started(steps: Steps, rows: Rows) -> TurnKey:
    turns = TurnSteps(steps, rows)
    job, held = turns.start(turns.add_session())
    return TurnKey(job.id, held.fence)


@pytest.fixture
def turns(steps: Steps, started: TurnKey) -> Turns:
    turns = Turns(steps.link)
    begun = turns.begin(started, LIFETIME)
    assert turns.begin(started, LIFETIME) == begun
    assert (begun.turn, begun.state, begun.position) == (1, "running", 0)
    turns.add_messages(started, [said("user", "hello")], [], position=0, begins=False, prompts=[])
    turns.start_call(started, "call", "bash", {}, [])
    return turns


CALLS: dict[str, tuple[Callable[[Turns, TurnKey], object], int]] = {
    "add_messages": (
        lambda turns, key: turns.add_messages(
            key, [said("assistant", "a"), said("user", "b")], EVENT, position=1, begins=True, prompts=[]
        ),
        1,
    ),
    "start_call": (lambda turns, key: turns.start_call(key, "other", "bash", {}, EVENT), 1),
    "finish_call": (lambda turns, key: turns.finish_call(key, "call", {"x": 1}, EVENT), 1),
    "set_progress": (lambda turns, key: turns.set_progress(key, 0.5, EVENT), 1),
    "reserve": (lambda turns, key: turns.reserve(key, REQUEST, 1.0, NONE_SET), 0),
    "spend": (lambda turns, key: turns.spend(key, REQUEST, Usage("m", 1, 2, cost_usd=0.5)), 0),
    "finish": (lambda turns, key: turns.end(key, "finished", None, LIFETIME, EVENT), 1),
    "ask": (lambda turns, key: turns.end(key, "asked", {"callId": "q", "question": "?"}, LIFETIME, EVENT), 1),
}
TABLES = ("session_turns", "session_messages", "session_calls", "session_requests", "session_events", "coding_jobs")


def stored(rows: Rows) -> dict[str, list[dict[str, object]]]:
    changing = "made_at", "updated_at"
    return {
        name: [
            {key: value for key, value in row.items() if key not in changing}
            for row in rows.all(f"SELECT * FROM {name}")
        ]
        for name in TABLES
    }


@pytest.mark.parametrize("name", CALLS)
def test_a_repeated_call_stores_once(turns: Turns, started: TurnKey, rows: Rows, name: str) -> None:
    call, events = CALLS[name]
    nothing = stored(rows)
    answer = call(turns, started)
    once = stored(rows)

    assert call(turns, started) == answer

    assert stored(rows) == once != nothing
    assert len(rows.all("SELECT * FROM session_events")) == events


@pytest.mark.parametrize("by_another", ["fence = 0", "job_id = gen_random_uuid()"], ids=["attempt", "job"])
def test_another_message_at_the_same_place_is_an_error(
    turns: Turns, started: TurnKey, rows: Rows, by_another: str
) -> None:
    rows.all(f"UPDATE session_messages SET {by_another}")
    turns.add_messages(started, [said("assistant", "hi")], [], position=1, begins=False, prompts=[])

    with pytest.raises(BridgeError, match="has a message 0 already"):
        turns.add_messages(started, [said("user", "hello")], EVENT, position=0, begins=False, prompts=[])

    assert rows.all("SELECT * FROM session_events") == []


def test_a_prompt_that_a_job_has_taken_stays_that_job_s(turns: Turns, started: TurnKey, rows: Rows) -> None:
    taken = rows.one(
        "INSERT INTO session_inbox (session_id, prompt, taken_at, job_id)"
        " SELECT session_id, 'x', '2026-01-01Z', gen_random_uuid() FROM session_turns RETURNING *"
    )

    turns.add_messages(started, [said("user", "x")], [], position=1, begins=False, prompts=[taken["number"]])

    assert rows.all("SELECT * FROM session_inbox") == [taken]


def test_a_cost_that_is_stored_stays(turns: Turns, started: TurnKey, rows: Rows) -> None:
    for usd in (0.5, 0.7):
        turns.spend(started, REQUEST, Usage("m", 1, 2, cost_usd=usd))

    assert rows.value("SELECT sum(cost_usd)::float FROM session_requests") == 0.5


def test_a_call_of_another_session_is_not_finished(turns: Turns, started: TurnKey, rows: Rows) -> None:
    rows.all(
        "INSERT INTO session_calls (session_id, call_id, position, turn, tool, input, started_fence)"
        " VALUES (%s, 'theirs', 0, 1, 'bash', '{}', 1)",
        [rows.add_session()],
    )

    with pytest.raises(BridgeError, match="has no call theirs"):
        turns.finish_call(started, "theirs", {}, EVENT)


def test_another_job_s_fence_is_no_key(turns: Turns, started: TurnKey, rows: Rows) -> None:
    for key in (TurnKey(uuid4(), started.fence), TurnKey(started.job_id, started.fence + 1)):
        with pytest.raises(NotOursError):
            turns.add_messages(key, [said("user", "x")], EVENT, position=1, begins=False, prompts=[])


def test_an_attempt_that_has_not_begun_its_turn_stores_nothing(turns: Turns, started: TurnKey, rows: Rows) -> None:
    rows.all("UPDATE coding_jobs SET fence = fence + 1")

    with pytest.raises(NotOursError):
        turns.set_progress(TurnKey(started.job_id, started.fence + 1), 0.5, EVENT)


def test_the_events_of_a_write_are_numbered_with_the_others(turns: Turns, started: TurnKey, rows: Rows) -> None:
    session: UUID = rows.value("SELECT session_id FROM session_turns")
    rows.all("INSERT INTO session_events (session_id, event_type) VALUES (%s, 'by another road')", [session])

    turns.set_progress(started, 0.5, [("progress", {}), ("progress", {})])

    assert [row["seq"] for row in rows.all("SELECT seq FROM session_events ORDER BY seq")] == [1, 2, 3]
    assert rows.value("SELECT last_seq FROM session_streams") == 3

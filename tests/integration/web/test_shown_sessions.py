"""What the pages show of sessions."""

from uuid import UUID

import pytest

from bridge.settings import Settings
from bridge.web.services import Services
from bridge.web.shown_sessions import ShownSessions
from tests.support.rows import Rows


@pytest.fixture
def shown(settings: Settings) -> ShownSessions:
    return ShownSessions(Services(settings))


def test_a_session_without_a_turn_has_a_state(shown: ShownSessions, rows: Rows) -> None:
    state = shown.state(rows.add_session(initial_prompt="paint it"))

    assert state is not None
    assert (state["status"], state["turn"], state["open_jobs"], state["bundles"]) == ("pending", None, 0, 0)
    assert state["initial_prompt"] == "paint it"


def test_there_is_no_state_of_no_session(shown: ShownSessions) -> None:
    assert shown.state(UUID(int=1)) is None


def test_a_part_says_what_comes_before_and_after_it(shown: ShownSessions, rows: Rows) -> None:
    session = rows.add_session()
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data)"
        " SELECT %s, 'notice', '{\"text\": \"x\"}' FROM generate_series(1, 1100)",
        [session],
    )

    latest, first = shown.told(session, goes_on=True), shown.told(session, before=101, goes_on=True)

    assert (len(latest.items), latest.last, latest.earlier) == (1000, 1100, 101)
    assert (len(first.items), first.last, first.earlier) == (100, 100, None)
    assert shown.told(session, before=1, goes_on=True).items == []


def test_hidden_prompts_leave_the_question_of_a_budget(settings: Settings, rows: Rows) -> None:
    shown = ShownSessions(Services(settings.model_copy(update={"hide_prompts": True})))
    for question, left in (
        ('{"scope": "turn", "limitUsd": 1}', {"scope": "turn", "limitUsd": 1}),
        ('{"question": "x"}', {}),
    ):
        session = rows.add_session(initial_prompt="paint it")
        rows.all(
            "INSERT INTO session_turns (session_id, turn, job_id, fence, state, question)"
            " VALUES (%s, 1, gen_random_uuid(), 1, 'asked', %s)",
            [session, question],
        )

        state = shown.state(session)

        assert state is not None
        assert (state["question"], state["initial_prompt"]) == (left, None)

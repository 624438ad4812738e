"""The sessions API after the start: prompts, answers, going on, stopping, and costs; for the session's user only."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

import bridge.web
from bridge.sessions import OverBudget, Record, Usage, open_record
from bridge.web.tokens import make_token
from tests.integration.web.api.described import as_described
from tests.support.rows import Rows
from tests.support.turns import USER, TurnSteps
from tests.support.web import SECRET

POSTS = {
    "send-session-prompt": {"prompt": "and now in red"},
    "answer-session-question": {"answer": "2"},
    "continue-session": {},
    "cancel-session": {},
}
GETS = ("get-session-turn", "get-session-usage")
DESCRIBED = json.loads((Path(bridge.web.__file__).parent / "static" / "openapi.json").read_text())


def bearer(user: UUID = USER) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(user, SECRET, timedelta(minutes=5))}"}


def post(client: FlaskClient, what: str, session_id: Any, user: UUID = USER, **fields: Any) -> Any:
    body = {"sessionId": str(session_id), **POSTS[what], **fields}
    answer = client.post(f"/functions/v1/{what}", data=json.dumps(body), headers=bearer(user))
    as_described(answer, DESCRIBED, f"/functions/v1/{what}", "post")
    return answer


def get(client: FlaskClient, what: str, session_id: Any, user: UUID = USER) -> Any:
    answer = client.get(f"/functions/v1/{what}?sessionId={session_id}", headers=bearer(user))
    as_described(answer, DESCRIBED, f"/functions/v1/{what}")
    return answer


def running(turns: TurnSteps) -> tuple[UUID, Record]:
    session_id = turns.add_session()
    return session_id, open_record(turns.start(session_id)[0])


def test_a_prompt_begins_a_turn_or_waits_for_the_one_under_way(
    client: FlaskClient, turns: TurnSteps, rows: Rows
) -> None:
    session_id = turns.add_session()

    first = post(client, "send-session-prompt", session_id)
    second = post(client, "send-session-prompt", session_id, prompt="x")

    job_id = first.json["data"]["jobId"]
    assert (first.status_code, second.status_code) == (201, 202)
    assert first.json == {
        "success": True,
        "data": {"sessionId": str(session_id), "jobId": job_id, "answersQuestion": False},
    }
    assert second.json["data"]["jobId"] is None
    assert rows.job(UUID(job_id))["prompt"] == "and now in red"
    assert get(client, "get-session-turn", session_id).json["data"] == {
        "turn": None, "state": None, "question": None, "progress": None, "waitingPrompts": 1,
    }  # fmt: skip
    assert first.headers["Access-Control-Allow-Origin"] == "*"


def test_a_question_is_shown_and_answered_once(client: FlaskClient, turns: TurnSteps, rows: Rows) -> None:
    session_id, asking = running(turns)
    asking.set_progress(0.5)
    asking.ask("q1", "Which?", ["1", "2"])

    shown = get(client, "get-session-turn", session_id).json["data"]
    other = post(client, "answer-session-question", session_id, callId="q0")
    first = post(client, "answer-session-question", session_id, callId="q1")
    second = post(client, "answer-session-question", session_id)

    assert shown == {
        "turn": 1, "state": "asked", "progress": 0.5, "waitingPrompts": 0,
        "question": {"callId": "q1", "question": "Which?", "choices": ["1", "2"]},
    }  # fmt: skip
    assert [one.status_code for one in (other, first, second)] == [409, 201, 409]
    assert second.json == {"success": False, "error": "This question is not open: it was answered, or given up"}
    assert rows.job(UUID(first.json["data"]["jobId"]))["payload"] == {"answer": {"callId": "q1", "text": "2"}}
    assert get(client, "get-session-turn", session_id).json["data"]["question"] is None


def test_a_session_goes_on_when_its_user_says_so(client: FlaskClient, turns: TurnSteps) -> None:
    session_id, asking = running(turns)
    assert post(client, "continue-session", session_id).json["error"] == "The session is at work already"
    asking.ask_to_go_on(OverBudget("session", 20.0, 20.0))

    assert [post(client, "continue-session", session_id).status_code for _ in range(2)] == [201, 409]


def test_a_session_that_asks_something_else_needs_an_answer(client: FlaskClient, turns: TurnSteps) -> None:
    session_id, asking = running(turns)
    asking.ask("q1", "Which?")

    answer = post(client, "continue-session", session_id)

    assert (answer.status_code, answer.json["error"]) == (409, "The session waits for an answer to its question")


def test_a_session_is_cancelled(client: FlaskClient, turns: TurnSteps, rows: Rows) -> None:
    session_id, _ = running(turns)

    answer = post(client, "cancel-session", session_id)

    assert answer.json == {"success": True, "data": {"sessionId": str(session_id), "cancelledJobs": 1}}
    assert rows.value("SELECT error_message FROM coding_jobs") == f"cancelled by user {USER}"


def test_too_many_waiting_prompts_are_refused(client: FlaskClient, turns: TurnSteps, rows: Rows) -> None:
    session_id, _ = running(turns)

    answers = [post(client, "send-session-prompt", session_id) for _ in range(21)]

    assert [one.status_code for one in answers] == [202] * 20 + [429]
    assert answers[-1].headers["Retry-After"] == "30"


def test_usage_adds_up_what_requests_cost(client: FlaskClient, turns: TurnSteps) -> None:
    session_id, first = running(turns)
    first.spend(Usage("m", 1, 2, 3, 4, 0.5))
    first.finish()
    _, elsewhere = running(turns)
    elsewhere.spend(Usage("m", 10, 20, cost_usd=1.0))
    second = open_record(turns.start(session_id)[0])
    second.spend(Usage("m", 1, 2, 3, 4, 0.25))
    assert second.reserve(1.0) is None

    assert get(client, "get-session-usage", session_id).json["data"] == {
        "requests": 2, "inputTokens": 2, "outputTokens": 4, "cacheWriteTokens": 6, "cacheReadTokens": 8,
        "turnUsd": 0.25, "sessionUsd": 0.75, "userDayUsd": 1.75,
        "budgetsUsd": {"turn": 5.0, "session": 20.0, "userDay": 50.0},
    }  # fmt: skip


def test_a_session_of_somebody_else_looks_like_a_missing_one(client: FlaskClient, turns: TurnSteps, rows: Rows) -> None:
    session_id, asking = running(turns)
    asking.ask("q1", "Which?")
    stranger = uuid4()

    answers = [post(client, what, one, stranger) for what in POSTS for one in (session_id, uuid4())]
    answers += [get(client, what, one, stranger) for what in GETS for one in (session_id, uuid4())]

    assert {one.status_code for one in answers} == {404}
    assert len({one.data for one in answers}) == 1
    assert rows.value("SELECT state FROM session_turns") == "asked"


@pytest.mark.parametrize("what", ["send-session-prompt", "answer-session-question", "continue-session"])
def test_an_expired_session_takes_nothing(client: FlaskClient, turns: TurnSteps, rows: Rows, what: str) -> None:
    session_id = turns.add_session(status="expired")

    answer = post(client, what, session_id)

    assert (answer.status_code, answer.json["error"]) == (410, "The session has expired: start a new one")
    assert rows.all("SELECT FROM coding_jobs") == []


@pytest.mark.parametrize(
    ("what", "fields", "status", "message"),
    [
        ("send-session-prompt", {"prompt": None}, 422, "Prompt is required"),
        ("send-session-prompt", {"prompt": "  "}, 422, "Prompt must be at least 1 character"),
        ("send-session-prompt", {"prompt": "x" * 5001}, 422, "Prompt must be at most 5000 characters"),
        ("send-session-prompt", {"prompt": "a\x00b"}, 422, "Prompt contains characters that cannot be stored"),
        ("answer-session-question", {"answer": 2}, 422, "Answer is required"),
        ("answer-session-question", {"callId": 7}, 422, "callId is required"),
        ("continue-session", {"budget": 7}, 422, "Unknown field: budget"),
        ("cancel-session", {"sessionId": "7"}, 400, "Invalid session ID format"),
        ("cancel-session", {"sessionId": None}, 400, "Invalid session ID format"),
    ],
)
def test_a_bad_body_is_refused_with_its_reason(
    client: FlaskClient, rows: Rows, what: str, fields: dict[str, Any], status: int, message: str
) -> None:
    answer = post(client, what, uuid4(), **fields)

    assert (answer.status_code, answer.json) == (status, {"success": False, "error": message})


def test_requests_without_a_good_token_are_401(client: FlaskClient) -> None:
    answers = [client.post(f"/functions/v1/{what}", data="{}") for what in POSTS]
    answers += [client.get(f"/functions/v1/{what}?sessionId={uuid4()}") for what in GETS]

    assert {one.status_code for one in answers} == {401}


def test_an_unreachable_store_is_503_without_details(cut_off: FlaskClient) -> None:
    answers = [post(cut_off, what, uuid4()) for what in POSTS] + [get(cut_off, what, uuid4()) for what in GETS]

    assert {one.status_code for one in answers} == {503}
    assert not any(b"geheim" in one.data for one in answers)

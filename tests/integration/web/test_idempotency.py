"""S29: a prompt that is sent again with its Idempotency-Key gets the answer of the first, and adds nothing.

So does the wish to go on. The start of a session is in test_start_request.py. Rows of docs/reference/security.md: S29.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from bridge.sessions import open_record
from bridge.web.tokens import make_token
from tests.integration.web.api.described import as_described
from tests.support.rows import Rows
from tests.support.turns import USER, TurnSteps
from tests.support.web import SECRET

BODIES = {"send-session-prompt": {"prompt": "and now in red"}, "continue-session": {}}
ADDED = "SELECT (SELECT count(*) FROM coding_jobs) + (SELECT count(*) FROM session_inbox WHERE job_id IS NULL)"


def post(
    client: FlaskClient, what: str, session_id: UUID, key: str | None = "a-key", user: UUID = USER, **fields: str
) -> Any:
    body = {"sessionId": str(session_id), **BODIES[what], **fields}
    headers = {"Authorization": f"Bearer {make_token(user, SECRET, timedelta(minutes=5))}"}
    headers |= {} if key is None else {"Idempotency-Key": key}
    answer = client.post(f"/functions/v1/{what}", data=json.dumps(body), headers=headers)
    with client.get("/api/openapi.json") as described:
        as_described(answer, described.json or {}, f"/functions/v1/{what}", "post")
    return answer


@pytest.mark.parametrize("what", BODIES)
def test_the_same_request_again_gets_the_same_answer_and_begins_nothing(
    client: FlaskClient, turns: TurnSteps, rows: Rows, what: str
) -> None:
    session_id = turns.add_session()

    first = post(client, what, session_id)
    at_work = post(client, what, session_id)
    open_record(turns.start(job_id=UUID(first.json["data"]["jobId"]))[0]).finish()
    idle = post(client, what, session_id)
    rows.all("UPDATE coding_sessions SET status = 'expired'")
    over = post(client, what, session_id)

    assert [one.status_code for one in (first, at_work, idle, over)] == [201] * 4
    assert {one.data for one in (at_work, idle, over)} == {first.data}
    assert rows.value(ADDED) == 1


def test_a_prompt_to_a_turn_under_way_is_added_once(client: FlaskClient, turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = turns.open(session_id)

    first, again = (post(client, "send-session-prompt", session_id) for _ in range(2))

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.data == again.data
    assert record.take_prompts() == ["and now in red"]


def test_an_answer_by_a_prompt_says_so_again(client: FlaskClient, turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    turns.open(session_id).ask("q1", "Which?")

    first, again = (post(client, "send-session-prompt", session_id) for _ in range(2))

    assert first.json["data"]["answersQuestion"] is True
    assert (first.status_code, first.data) == (again.status_code, again.data)
    assert rows.value(ADDED) == 2


def test_requests_at_the_same_time_add_one_prompt(client: FlaskClient, turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()

    def send(_: int) -> Any:
        return post(client.application.test_client(), "send-session-prompt", session_id)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(16)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.data for answer in answers}) == 1
    assert rows.value(ADDED) == 1


def test_without_a_key_with_another_and_of_another_user_each_adds_one(
    client: FlaskClient, turns: TurnSteps, rows: Rows
) -> None:
    stranger = uuid4()
    mine, theirs = turns.add_session(), turns.add_session(user_id=stranger)

    answers = [post(client, "send-session-prompt", mine, key) for key in (None, None, "a-key", "b")]
    answers.append(post(client, "send-session-prompt", theirs, user=stranger))

    assert [answer.status_code for answer in answers] == [201, 202, 202, 202, 201]
    assert rows.value(ADDED) == 5


def test_a_key_that_was_used_for_another_request_is_refused(client: FlaskClient, turns: TurnSteps, rows: Rows) -> None:
    session_id, other = turns.add_session(), turns.add_session()
    post(client, "send-session-prompt", session_id)
    post(client, "continue-session", other, "b")

    answers = [
        post(client, "send-session-prompt", session_id, prompt="and now in blue"),
        post(client, "send-session-prompt", other),
        post(client, "continue-session", session_id),
        post(client, "continue-session", session_id, "b"),
    ]

    assert [answer.status_code for answer in answers] == [422] * 4
    assert all("used for another request" in answer.json["error"] for answer in answers)
    assert rows.value(ADDED) == 2


@pytest.mark.parametrize("what", BODIES)
def test_what_was_refused_keeps_no_key(client: FlaskClient, turns: TurnSteps, rows: Rows, what: str) -> None:
    session_id = turns.add_session(status="expired")
    assert post(client, what, session_id).status_code == 410
    assert post(client, what, uuid4()).status_code == 404
    rows.all("UPDATE coding_sessions SET status = 'failed'")

    assert post(client, what, session_id).status_code == 201


@pytest.mark.parametrize("what", BODIES)
def test_a_malformed_key_is_refused(client: FlaskClient, turns: TurnSteps, rows: Rows, what: str) -> None:
    answer = post(client, what, turns.add_session(), "a b")

    assert answer.status_code == 400
    assert answer.json["error"].startswith("Idempotency-Key must have 1 to 255")
    assert rows.value(ADDED) == 0


@pytest.mark.parametrize("what", BODIES)
def test_a_database_of_the_version_before_serves_requests_without_keys(
    client: FlaskClient, turns: TurnSteps, rows: Rows, what: str
) -> None:
    session_id = turns.add_session()
    rows.all("ALTER TABLE idempotency_keys RENAME TO not_yet")
    try:
        assert post(client, what, session_id).status_code == 503
        assert post(client, what, session_id, None).status_code == 201
        assert rows.value(ADDED) == 1
    finally:
        rows.all("ALTER TABLE not_yet RENAME TO idempotency_keys")

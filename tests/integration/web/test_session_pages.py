"""The pages of coding sessions: the list, a conversation, and what an operator does there.

Rows of docs/reference/security.md: S15.
"""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from bridge.settings import Settings
from tests.support.rows import Rows
from tests.support.web import client_of

HOSTILE = '<script>alert("x")</script>'
QUESTION = {"callId": "q1", "question": "Which colour?", "choices": ["red", "blue"]}

Act = Callable[..., int]


def add_events(rows: Rows, session: UUID, *events: tuple[str, Any]) -> None:
    for kind, data in events:
        rows.all(
            "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, %s, %s)",
            [session, kind, Jsonb(data)],
        )


def add_turn(rows: Rows, session: UUID, state: str = "finished", question: Any = None, turn: int = 1) -> UUID:
    job = rows.add_job(session_id=session, actor="run_coding_session", queue="coding", status="completed")
    rows.all(
        "INSERT INTO session_turns (session_id, turn, job_id, fence, state, question) VALUES (%s, %s, %s, 1, %s, %s)",
        [session, turn, job, state, Jsonb(question) if question else None],
    )
    return job


@pytest.fixture
def asking(rows: Rows) -> UUID:
    """A session that waits for an answer."""
    session = rows.add_session(status="paused", user_id=UUID(int=7), initial_prompt="paint it")
    add_turn(rows, session, "asked", QUESTION)
    return session


def act(client: FlaskClient, session: UUID, action: str, **form: str) -> int:
    found = re.search('name="csrf" value="([^"]+)"', client.get(f"/sessions/{session}").text)
    token = found[1] if found else ""
    return client.post(f"/sessions/{session}/{action}", data={"csrf": token} | form).status_code


def jobs_of(rows: Rows, session: UUID) -> list[dict[str, Any]]:
    return rows.all("SELECT prompt, payload FROM coding_jobs WHERE session_id = %s AND status = 'pending'", [session])


def test_the_list_shows_each_session_with_its_figures(client: FlaskClient, rows: Rows, asking: UUID) -> None:
    rows.all(
        "INSERT INTO session_requests (id, session_id, turn, job_id, fence, reserved_usd, cost_usd)"
        " VALUES (gen_random_uuid(), %s, 1, gen_random_uuid(), 1, 0, 0.25)",
        [asking],
    )

    page = client.get("/sessions").text

    row = re.search(f"<tr>.*?/sessions/{asking}.*?</tr>", page, re.DOTALL)
    assert row
    for shown in ("paused", "$0.25", "paint it", 'data-name="Turns">1'):
        assert shown in row[0]


def test_pages_of_the_list_lead_to_all_sessions(client: FlaskClient, rows: Rows) -> None:
    rows.all("INSERT INTO coding_sessions (created_at) SELECT now() FROM generate_series(1, 120)")
    seen: list[str] = []
    address = "/sessions"
    while address:
        page = client.get(address).text
        seen += re.findall(r'<th scope="row"><a href="/sessions/([0-9a-f-]+)"', page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        address = found[1].replace("&amp;", "&") if found else ""

    assert len(seen) == len(set(seen)) == 120
    assert client.get("/sessions?after=x").status_code == 400


def test_a_conversation_is_read_without_scripts(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session()
    add_events(
        rows, session,
        ("turn_started", {"turn": 1, "prompt": f"say {HOSTILE}", "agent": "claude"}),
        ("text", {"message": 1, "text": "I run ", "offset": 0}),
        ("text", {"message": 1, "text": "it.", "offset": 6}),
        ("tool_started", {"callId": "a", "tool": "bash", "input": {"command": "make"}}),
        ("terminal", {"callId": "a", "output": f"\x1b[32mok\x1b[0m {HOSTILE}", "offset": 0}),
        ("file_change", {"path": "a.py", "added": 1, "removed": 0, "diff": f"+{HOSTILE}"}),
    )  # fmt: skip

    page = client.get(f"/sessions/{session}").text

    assert "I run it." in page
    assert '<span class="ansi-green">ok</span>' in page
    assert '<span class="added">+&lt;script&gt;' in page
    assert HOSTILE not in page
    assert f'data-stream="/sessions/{session}/events"' in page
    assert 'data-last="6"' in page


def test_earlier_parts_of_a_long_conversation_are_linked(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session()
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data)"
        " SELECT %s, 'notice', jsonb_build_object('text', 'number ' || n || '.') FROM generate_series(1, 2500) n",
        [session],
    )
    seen: list[str] = []
    address = f"/sessions/{session}"
    while address:
        page = client.get(address).text
        seen = re.findall(r"number \d+\.", page) + seen
        found = re.search(r'rel="prev" href="([^"]+)"', page)
        address = found[1] if found else ""

    assert seen == [f"number {n}." for n in range(1, 2501)]
    assert "data-stream" not in page
    assert client.get(f"/sessions/{session}?before=0").status_code == 404


def test_events_without_numbers_are_shown_too(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session()
    add_events(rows, session, ("notice", {"text": "of an older version"}))
    rows.all("UPDATE session_events SET seq = NULL")
    rows.all("DELETE FROM session_streams")

    assert "of an older version" in client.get(f"/sessions/{session}").text


def test_a_question_is_answered_by_a_button(client: FlaskClient, rows: Rows, asking: UUID) -> None:
    assert '<button type="submit" name="answer" value="blue">blue</button>' in client.get(f"/sessions/{asking}").text

    assert act(client, asking, "answer", call="q1", answer="blue") == 302

    (job,) = jobs_of(rows, asking)
    assert job["payload"] == {"answer": {"callId": "q1", "text": "blue"}}
    assert rows.all("SELECT action, target, done_by FROM operator_audit") == [
        {"action": "answer_question", "target": str(asking), "done_by": "dashboard"}
    ]


def test_a_question_that_is_no_longer_open_is_refused_and_not_noted(
    client: FlaskClient, rows: Rows, asking: UUID
) -> None:
    assert act(client, asking, "answer", call="another", answer="blue") == 409
    assert act(client, asking, "answer", call="q1", answer=" ") == 422

    assert jobs_of(rows, asking) == []
    assert rows.all("SELECT 1 FROM operator_audit") == []


def test_a_session_goes_on_after_its_budget(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session(status="paused")
    add_turn(rows, session, "asked", {"scope": "turn", "spentUsd": 1.0, "limitUsd": 2.0})
    assert "$1.00 of the $2.00 of this turn are spent." in client.get(f"/sessions/{session}").text

    assert act(client, session, "continue") == 302

    assert [job["payload"] for job in jobs_of(rows, session)] == [{"continue": True}]


def test_a_prompt_begins_the_next_turn(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session(status="completed")
    add_turn(rows, session)

    assert act(client, session, "prompt", prompt="and now blue") == 302

    assert [job["prompt"] for job in jobs_of(rows, session)] == ["and now blue"]


def test_a_prompt_that_is_refused_stays_in_its_field(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session(status="completed")
    found = re.search('name="csrf" value="([^"]+)"', client.get(f"/sessions/{session}").text)
    assert found

    answer = client.post(f"/sessions/{session}/prompt", data={"csrf": found[1], "prompt": "x" * 5001})

    assert answer.status_code == 422
    assert "at most 5000 characters" in answer.text
    assert "x" * 5001 in answer.text


def test_a_session_is_cancelled(client: FlaskClient, rows: Rows, asking: UUID) -> None:
    assert act(client, asking, "cancel") == 302

    assert rows.session(asking)["status"] == "failed"
    assert rows.value("SELECT action FROM operator_audit") == "cancel_session"


def test_a_call_runs_as_long_as_its_session_has_an_open_job(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session()
    job = rows.add_job(session_id=session, actor="run_coding_session", queue="coding")
    add_events(rows, session, ("tool_started", {"callId": "a", "tool": "bash", "input": {}}))

    assert 'data-state="running"' in client.get(f"/sessions/{session}").text
    rows.all("SELECT cancel_job(%s)", [job])
    assert 'data-state="interrupted"' in client.get(f"/sessions/{session}").text


def test_what_is_no_session_is_not_found(client: FlaskClient, asking: UUID) -> None:
    other = UUID(int=1)
    found = re.search('name="csrf" value="([^"]+)"', client.get(f"/sessions/{asking}").text)
    assert found

    assert client.get(f"/sessions/{other}").status_code == 404
    for action in ("cancel", "continue"):
        assert client.post(f"/sessions/{other}/{action}", data={"csrf": found[1]}).status_code == 404


def test_nothing_is_done_without_the_token_of_the_page(client: FlaskClient, rows: Rows, asking: UUID) -> None:
    assert client.post(f"/sessions/{asking}/answer", data={"answer": "blue"}).status_code == 403
    assert jobs_of(rows, asking) == []


def test_readers_see_a_session_and_change_nothing(settings: Settings, rows: Rows, asking: UUID) -> None:
    client = client_of(settings, read_only=True)

    page = client.get(f"/sessions/{asking}").text

    assert "Which colour?" in page
    assert 'method="post"' not in page
    assert act(client, asking, "cancel") == 403
    assert rows.session(asking)["status"] == "paused"


def test_hidden_prompts_hide_the_conversation(settings: Settings, rows: Rows, asking: UUID) -> None:
    add_events(rows, asking, ("text", {"message": 1, "text": "a secret plan", "offset": 0}))
    client = client_of(settings, hide_prompts=True)

    pages = client.get("/sessions").text + client.get(f"/sessions/{asking}").text

    assert "waits for an answer" in pages
    for hidden in ("a secret plan", "Which colour?", "blue", "paint it", "data-stream"):
        assert hidden not in pages


def test_the_state_alone_is_asked_for_without_the_conversation(client: FlaskClient, rows: Rows, asking: UUID) -> None:
    add_events(rows, asking, ("text", {"message": 1, "text": "long", "offset": 0}))

    page = client.get(f"/sessions/{asking}?part=state").text

    assert "Which colour?" in page
    assert "data-stream" not in page


def test_the_page_of_a_job_leads_to_its_session(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session()
    job = rows.add_job(session_id=session)

    assert f'href="/sessions/{session}"' in client.get(f"/jobs/{job}").text


def test_the_secret_of_nobody_is_needed_to_see_a_session(settings: Settings, asking: UUID) -> None:
    client = client_of(settings, dashboard_password=SecretStr("correct horse"))

    assert client.get(f"/sessions/{asking}").status_code == 401

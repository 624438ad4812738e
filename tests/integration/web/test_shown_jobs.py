"""With HIDE_PROMPTS no page and no answer tells what users wrote, and no search finds it out."""

from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from psycopg.types.json import Jsonb

from bridge.settings import Settings
from tests.support.rows import Rows
from tests.support.web import client_of

CANARY = "canary-of-a-prompt"


@pytest.fixture
def hiding(settings: Settings) -> FlaskClient:
    return client_of(settings, hide_prompts=True)


def test_prompts_and_what_was_made_of_them_are_shown_nowhere(hiding: FlaskClient, rows: Rows) -> None:
    session = uuid4()
    rows.all("INSERT INTO coding_sessions (id, initial_prompt) VALUES (%s, %s)", [session, CANARY])
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'thinking', %s)",
        [session, Jsonb({"text": CANARY})],
    )
    job_id = rows.add_job(payload={"text": CANARY}, prompt=CANARY, session_id=session)
    rows.all("UPDATE coding_jobs SET result = %s", [Jsonb(CANARY)])

    for path in ("/jobs", f"/jobs/{job_id}", "/api/jobs", f"/api/jobs/{job_id}", "/"):
        answer = hiding.get(path)
        assert answer.status_code == 200
        assert CANARY not in answer.text, path
    assert "HIDE_PROMPTS" in hiding.get(f"/jobs/{job_id}").text


@pytest.mark.parametrize("path", ["/jobs", "/api/jobs"])
def test_words_are_not_searched_where_prompts_are_hidden(hiding: FlaskClient, path: str) -> None:
    answer = hiding.get(path, query_string={"q": "canary"})

    assert answer.status_code == 400
    assert "Prompts are hidden" in answer.text
    assert hiding.get(path, query_string={"q": "error:canary"}).status_code == 200


def test_prompts_are_shown_otherwise(client: FlaskClient, rows: Rows) -> None:
    job_id = rows.add_job(prompt=CANARY)
    assert CANARY in client.get("/jobs").text
    assert CANARY in client.get(f"/jobs/{job_id}").text

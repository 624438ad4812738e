"""The sessions API over real stores: a session is shown to its user only, and bad requests are refused.

Rows of docs/reference/security.md: S6, S21.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.postgres.attempts import Event
from bridge.postgres.migrations import migrate_up
from bridge.postgres.session_list import list_sessions
from bridge.settings import Settings
from bridge.web.tokens import make_token
from tests.support import legacy
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.web import SECRET, client_of

USER = uuid4()
PROJECT = uuid4()
PROMPT = "Build a page that says hello"


def bearer(user: UUID = USER, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(user, SECRET, timedelta(minutes=5), **claims)}"}


def start(client: FlaskClient, body: Any = None, **options: Any) -> Any:
    data = body if isinstance(body, bytes | str) else json.dumps(body or {"projectId": str(PROJECT), "prompt": PROMPT})
    headers = options.pop("headers", bearer())
    return client.post("/functions/v1/start-coding-session", data=data, headers=headers, **options)


def test_a_session_and_its_job_are_inserted_together(client: FlaskClient, rows: Rows) -> None:
    answer = start(client)

    assert answer.status_code == 201
    assert answer.json["success"] is True
    data = answer.json["data"]
    assert list(data) == ["sessionId", "jobId", "expiresAt", "status"]
    assert data["status"] == "pending"
    lifetime = datetime.fromisoformat(data["expiresAt"]) - datetime.now(UTC)
    assert timedelta(minutes=29) < lifetime <= timedelta(minutes=30)
    session = rows.session(UUID(data["sessionId"]))
    assert (session["user_id"], session["project_id"], session["initial_prompt"]) == (USER, PROJECT, PROMPT)
    job = rows.job(UUID(data["jobId"]))
    assert (job["session_id"], job["prompt"], job["actor"]) == (session["id"], PROMPT, "run_coding_session")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Body is not valid JSON"),
        (b"{", "Body is not valid JSON"),
        (b'{"prompt": NaN}', "Body is not valid JSON"),
        (b'{"prompt": "a", "prompt": "b"}', "Body is not valid JSON"),
        (b'\xef\xbb\xbf{"prompt": "a"}', "Body is not valid JSON"),
        ('{"prompt": "a"}'.encode("utf-16"), "Body is not valid JSON"),
        (b"[" * 20_000, "Body is not valid JSON"),
        (b"[]", "Body must be a JSON object"),
        (b'"text"', "Body must be a JSON object"),
        ({"prompt": PROMPT}, "Invalid project ID format"),
        ({"projectId": "1", "prompt": PROMPT}, "Invalid project ID format"),
        ({"projectId": 7, "prompt": PROMPT}, "Invalid project ID format"),
        ({"projectId": f"{{{PROJECT}}}", "prompt": PROMPT}, "Invalid project ID format"),
        ({"projectId": str(PROJECT)}, "Prompt is required"),
        ({"projectId": str(PROJECT), "prompt": None}, "Prompt is required"),
        ({"projectId": str(PROJECT), "prompt": ["x" * 20]}, "Prompt is required"),
        ({"projectId": str(PROJECT), "prompt": "too short"}, "Prompt must be at least 10 characters"),
        ({"projectId": str(PROJECT), "prompt": " " * 50}, "Prompt must be at least 10 characters"),
        ({"projectId": str(PROJECT), "prompt": "x" * 5001}, "Prompt must be at most 5000 characters"),
        (
            {"projectId": str(PROJECT), "prompt": "nul \x00 inside it"},
            "Prompt contains characters that cannot be stored",
        ),
        ({"projectId": str(PROJECT), "prompt": "lone \ud800 surrogate"}, "Prompt contains characters that cannot be"),
    ],
)
def test_a_bad_body_is_refused_with_its_reason(client: FlaskClient, rows: Rows, body: Any, message: str) -> None:
    answer = start(client, body)

    assert answer.status_code == (400 if message.startswith("Body") else 422)
    assert answer.json["success"] is False
    assert answer.json["error"].startswith(message)
    assert rows.all("SELECT FROM coding_jobs") == []


@pytest.mark.parametrize("prompt", ["x" * 10, "x" * 5000, "ünïcödé 😀 " * 3])
def test_a_prompt_within_the_limits_is_taken(client: FlaskClient, prompt: str) -> None:
    assert start(client, {"projectId": str(PROJECT), "prompt": prompt}).status_code == 201


def test_fields_that_a_user_may_not_set_are_refused(client: FlaskClient, rows: Rows) -> None:
    body = {"projectId": str(PROJECT), "prompt": PROMPT, "status": "completed", "max_retries": 99}

    answer = start(client, body)

    assert (answer.status_code, answer.json) == (
        422,
        {"success": False, "error": "Unknown field: max_retries, status"},
    )
    assert rows.all("SELECT FROM coding_jobs") == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}])
def test_a_request_without_a_good_token_is_401(client: FlaskClient, headers: dict[str, str]) -> None:
    answer = start(client, headers=headers)

    assert (answer.status_code, answer.json) == (401, {"success": False, "error": "Invalid or expired token"})
    assert client.get("/functions/v1/get-session-status?sessionId=x", headers=headers).status_code == 401


def test_without_a_secret_every_request_is_503(settings: Settings) -> None:
    answer = start(client_of(settings, supabase_jwt_secret=None))

    assert (answer.status_code, answer.json["success"]) == (503, False)
    assert "SUPABASE_JWT_SECRET" in answer.json["error"]


def test_an_unreachable_store_is_503_without_details(cut_off: FlaskClient) -> None:
    answer = start(cut_off)

    assert (answer.status_code, answer.json["error"]) == (503, "Postgres is unavailable, try again later")
    assert "geheim" not in answer.text


def test_a_compressed_body_is_refused(client: FlaskClient, rows: Rows) -> None:
    answer = start(client, headers=bearer() | {"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json) == (415, {"success": False, "error": "Body must not be compressed"})
    assert rows.all("SELECT FROM coding_jobs") == []


def test_a_body_that_is_too_large_is_413(client: FlaskClient) -> None:
    answer = start(client, b'{"prompt": "' + b"x" * 100_000 + b'"}')

    assert (answer.status_code, answer.json) == (413, {"success": False, "error": "Body is larger than 64 kB"})


def test_a_session_is_shown_to_its_user_with_its_events(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    data = start(client).json["data"]
    held = steps.started()
    steps.book.add_events([Event(held, "terminal", '{"n": 1}'), Event(held, "completion", '{"n": 2}')])

    answer = client.get(f"/functions/v1/get-session-status?sessionId={data['sessionId']}", headers=bearer())

    assert answer.status_code == 200
    assert answer.json is not None
    session = answer.json["data"]
    assert list(session) == [
        "id", "projectId", "status", "initialPrompt", "expiresAt", "startedAt", "completedAt", "errorMessage",
        "metadata", "createdAt", "updatedAt", "events",
    ]  # fmt: skip
    assert (session["id"], session["projectId"], session["status"]) == (data["sessionId"], str(PROJECT), "active")
    assert [(event["event_type"], event["data"]) for event in session["events"]] == [
        ("completion", {"n": 2}),
        ("terminal", {"n": 1}),
    ]
    assert list(session["events"][0]) == ["id", "event_type", "data", "created_at"]


def test_another_users_session_looks_like_a_missing_one(client: FlaskClient) -> None:
    session_id = start(client).json["data"]["sessionId"]

    others = client.get(f"/functions/v1/get-session-status?sessionId={session_id}", headers=bearer(uuid4()))
    none = client.get(f"/functions/v1/get-session-status?sessionId={uuid4()}", headers=bearer())

    assert others.status_code == none.status_code == 404
    assert others.json == none.json == {"success": False, "error": "Session not found or access denied"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "sessionId query parameter is required"),
        ("?sessionId=", "sessionId query parameter is required"),
        ("?sessionId=7", "Invalid session ID format"),
        ("?sessionId=' OR 1=1 --", "Invalid session ID format"),
    ],
)
def test_a_bad_session_id_is_refused(client: FlaskClient, query: str, message: str) -> None:
    answer = client.get(f"/functions/v1/get-session-status{query}", headers=bearer())

    assert (answer.status_code, answer.json) == (400, {"success": False, "error": message})


def test_a_query_of_raw_bytes_is_refused(client: FlaskClient) -> None:
    path = "/functions/v1/get-session-status"

    answer = client.get(path, headers=bearer(), environ_overrides={"QUERY_STRING": "sessionId=\xff\xfe"})

    assert (answer.status_code, answer.json) == (400, {"success": False, "error": "Query is not valid UTF-8"})


def test_an_unfinished_session_past_its_time_is_shown_as_expired(client: FlaskClient, rows: Rows) -> None:
    session_id = start(client).json["data"]["sessionId"]
    rows.all("UPDATE coding_sessions SET expires_at = now() - interval '1s'")

    answer = client.get(f"/functions/v1/get-session-status?sessionId={session_id}", headers=bearer())

    assert answer.json is not None
    assert answer.json["data"]["status"] == "expired"


def test_a_session_does_not_expire_during_a_turn(settings: Settings, rows: Rows, steps: Steps) -> None:
    client = client_of(settings, open_sessions_per_user=1)
    session_id = start(client).json["data"]["sessionId"]
    held = steps.started()
    rows.all("UPDATE coding_sessions SET expires_at = now() - interval '1s'")

    def status() -> object:
        path = f"/functions/v1/get-session-status?sessionId={session_id}"
        answer: Any = client.get(path, headers=bearer())
        return answer.json["data"]["status"]

    assert status() == "active"
    assert start(client).status_code == 429, "it is still open"
    steps.fail(held, final=False)
    assert status() == "active", "its next attempt follows"
    assert list_sessions(steps.link.call, limit=1, cut=10).sessions[0]["status"] == "active"
    assert steps.link.call("any_session_status", {"session": session_id})[0]["status"] == "active"
    rows.all("DELETE FROM coding_jobs")
    assert status() == "expired"
    assert start(client).status_code == 201


def test_a_project_of_somebody_else_is_refused(settings: Settings, empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.SCHEMA + legacy.session_events("data", checked=True))
        migrate_up(empty_dsn)
        mine = rows.value("INSERT INTO projects (user_id) VALUES (%s) RETURNING id", [USER])
        other = rows.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
        client = client_of(settings, database_url=SecretStr(empty_dsn))

        assert start(client, {"projectId": str(mine), "prompt": PROMPT}).status_code == 201
        for project in (other, uuid4()):
            answer = start(client, {"projectId": str(project), "prompt": PROMPT})
            assert (answer.status_code, answer.json["error"]) == (404, "Project not found or access denied")
        client.application.extensions["mobvibe"].pool.close()


def test_a_user_opens_a_bounded_number_of_sessions(settings: Settings, rows: Rows) -> None:
    client = client_of(settings, open_sessions_per_user=3)
    for status, expires in (("completed", "1 h"), ("pending", "-1 s")):  # these are not open
        rows.all(
            "INSERT INTO coding_sessions (user_id, status, expires_at) VALUES (%s, %s, now() + %s::interval)",
            [USER, status, expires],
        )
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: start(client.application.test_client()).status_code, range(8)))

    assert sorted(answers) == [201] * 3 + [429] * 5
    assert rows.value("SELECT count(*) FROM coding_jobs") == 3
    refused = start(client)
    assert refused.headers["Retry-After"] == "30"
    assert refused.json == {"success": False, "error": "You have 3 open sessions: wait until one ends"}
    assert start(client, headers=bearer(uuid4())).status_code == 201
    rows.all("UPDATE coding_sessions SET status = 'completed' WHERE user_id = %s", [USER])
    assert start(client).status_code == 201


@pytest.mark.parametrize(
    ("claims", "most"),
    [
        ({"app_metadata": {"tier": "pro"}}, 3),
        ({"app_metadata": {"tier": "gold"}}, 2),  # of no limit of its own
        ({"app_metadata": {"tier": ["pro"]}}, 2),
        ({"app_metadata": "pro"}, 2),
        ({"user_metadata": {"tier": "pro"}}, 2),  # users write this themselves
        ({}, 2),
    ],
)
def test_a_tier_has_its_own_number_of_open_sessions(settings: Settings, claims: dict[str, Any], most: int) -> None:
    client = client_of(settings, open_sessions_per_user=2, open_sessions_by_tier="free=0, pro=3")

    answers = [start(client, headers=bearer(**claims)) for _ in range(most + 1)]

    assert [answer.status_code for answer in answers] == [201] * most + [429]
    assert answers[-1].json["error"] == f"You have {most} open sessions: wait until one ends"


def test_a_tier_may_have_no_sessions(settings: Settings, rows: Rows) -> None:
    client = client_of(settings, open_sessions_by_tier="free=0")

    refused = start(client, headers=bearer(app_metadata={"tier": "free"}))

    assert (refused.status_code, refused.json["error"]) == (403, "Tier free has no coding sessions")
    assert rows.value("SELECT count(*) FROM coding_sessions") == 0

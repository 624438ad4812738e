"""Files of a session are for its user and for administrators, and leave nothing on the web's machine."""

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from bridge.web.tokens import make_token
from tests.integration.web.access.test_login import log_in
from tests.integration.web.api.described import KEY
from tests.support.rows import Rows
from tests.support.saved_sessions import files_in, saved_session
from tests.support.steps import Steps
from tests.support.web import SECRET, client_of

USER = uuid4()
FILES = {"src/a.py": b"print()\n", "b": bytes(100_000)}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def session_id(steps: Steps, rows: Rows, tmp_path: Path) -> UUID:
    return saved_session(steps, rows, tmp_path, FILES, user_id=USER)


@pytest.fixture
def closed(settings: Settings) -> Iterator[FlaskClient]:
    """It asks for a password."""
    client = client_of(
        settings,
        dashboard_password=SecretStr("correct horse"),
        dashboard_reader_password=SecretStr("only looks"),
        supabase_service_role_key=SecretStr("the-service-role-key"),
    )
    yield client
    client.application.extensions["mobvibe"].pool.close()


def get(client: FlaskClient, session_id: UUID, user: UUID | None = None) -> Any:
    token = {"Authorization": f"Bearer {make_token(user, SECRET, timedelta(minutes=5))}"} if user else {}
    return client.get(f"/sessions/{session_id}/archive", headers=token)


def test_the_session_s_user_gets_its_files(closed: FlaskClient, session_id: UUID, temporary: Path) -> None:
    answer = get(closed, session_id, USER)

    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == f"attachment; filename=session-{str(session_id)[:8]}.tar.gz"
    assert files_in(answer.data) == FILES
    answer.close()
    assert not list(temporary.iterdir())


def test_nobody_else_does(closed: FlaskClient, session_id: UUID) -> None:
    stranger, unknown, nobody = get(closed, session_id, uuid4()), get(closed, uuid4(), USER), get(closed, session_id)

    assert [answer.status_code for answer in (stranger, unknown, nobody)] == [404, 404, 401]
    assert stranger.data == unknown.data


@pytest.mark.parametrize(("password", "status"), [("correct horse", 200), ("only looks", 403)])
def test_administrators_do_and_readers_do_not(
    closed: FlaskClient, session_id: UUID, password: str, status: int
) -> None:
    log_in(closed, password)

    assert get(closed, session_id).status_code == status


def test_each_answer_is_as_the_file_of_the_api_says(closed: FlaskClient, session_id: UUID, rows: Rows) -> None:
    unsaved = rows.add_session(user_id=USER)
    with closed.get("/api/openapi.json", headers=KEY) as file:
        description = file.json or {}
    responses = description["paths"]["/sessions/{session_id}/archive"]["get"]["responses"]

    held = [closed.get(f"/sessions/{session_id}/archive", headers=KEY, buffered=False) for _ in range(2)]
    answers = [*held, get(closed, session_id, USER), get(closed, session_id), get(closed, uuid4(), USER)]
    answers[0].close()
    answers.append(get(closed, unsaved, USER))
    log_in(closed, "only looks")
    answers.append(get(closed, session_id))
    answers[1].close()

    assert [answer.status_code for answer in answers] == [200, 200, 503, 401, 404, 404, 403]
    for answer in answers:
        response = responses[str(answer.status_code)]
        described = description["components"]["responses"]["Refused"] if "$ref" in response else response
        assert answer.mimetype in described["content"]


def test_a_session_without_snapshots_says_so(client: FlaskClient, rows: Rows) -> None:
    session_id = rows.add_session(user_id=USER)

    answer = get(client, session_id, USER)

    assert (answer.status_code, answer.text) == (404, f"no files of session {session_id} are saved yet\n")


def test_downloads_at_once_are_few_and_a_place_is_freed_by_a_client_that_leaves(
    client: FlaskClient, session_id: UUID, temporary: Path
) -> None:
    first, second = (client.get(f"/sessions/{session_id}/archive", buffered=False) for _ in range(2))
    third = get(client, session_id)
    assert (third.status_code, third.headers["Retry-After"]) == (503, "10")

    first.close()

    fourth = get(client, session_id)
    assert fourth.status_code == 200
    second.close()
    fourth.close()
    assert not list(temporary.iterdir())


def test_where_git_is_missing_it_says_so(
    client: FlaskClient, session_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    answer = get(client, session_id, USER)

    assert answer.status_code == 503
    assert answer.text.startswith("git is not installed here")

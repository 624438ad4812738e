"""What the endpoints of the sessions API share: the same refusals, and the same headers for other origins."""

from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.integration.web.test_session_turns import GETS, POSTS, bearer


@pytest.mark.parametrize("what", [*POSTS, "start-coding-session"])
def test_a_compressed_body_is_refused(client: FlaskClient, what: str) -> None:
    answer = client.post(f"/functions/v1/{what}", data=b"x", headers={**bearer(), "Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json) == (415, {"success": False, "error": "Body must not be compressed"})


@pytest.mark.parametrize("what", [*POSTS, "start-coding-session"])
def test_a_body_that_is_too_large_is_413(client: FlaskClient, what: str) -> None:
    assert client.post(f"/functions/v1/{what}", data=b"x" * 70_000, headers=bearer()).status_code == 413


@pytest.mark.parametrize("what", [*GETS, "get-session-status"])
@pytest.mark.parametrize(
    ("query", "message"),
    [("", "sessionId query parameter is required"), ("?sessionId=7", "Invalid session ID format")],
)
def test_a_session_must_be_named(client: FlaskClient, what: str, query: str, message: str) -> None:
    answer = client.get(f"/functions/v1/{what}{query}", headers=bearer())

    assert (answer.status_code, answer.json) == (400, {"success": False, "error": message})


@pytest.mark.parametrize("what", [*GETS, *POSTS])
def test_web_builds_call_from_another_origin(client: FlaskClient, what: str) -> None:
    answer = client.options(f"/functions/v1/{what}?sessionId={uuid4()}")

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]

"""The buttons that send a test job: in development only."""

import re

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from tests.support.rows import Rows
from tests.support.web import client_of


def sent(client: FlaskClient, kind: str) -> int:
    found = re.search('name="csrf" value="([^"]+)"', client.get("/").text)
    return client.post(f"/sample-jobs/{kind}", data={"csrf": found[1] if found else ""}).status_code


@pytest.mark.parametrize(("kind", "attempts"), [("works", 3), ("breaks", 2)])
def test_a_button_sends_a_job_with_a_session(client: FlaskClient, rows: Rows, kind: str, attempts: int) -> None:
    assert "Send a test job" in client.get("/").text
    assert sent(client, kind) == 302

    job = rows.one("SELECT j.* FROM coding_jobs j JOIN coding_sessions s ON s.id = j.session_id")
    assert (job["actor"], job["max_retries"]) == ("run_coding_session", attempts)
    assert "```sh" in job["prompt"]


def test_a_form_of_another_page_sends_nothing(client: FlaskClient, rows: Rows) -> None:
    assert client.post("/sample-jobs/works").status_code == 403
    assert rows.all("SELECT FROM coding_jobs") == []


def test_production_has_no_such_button(settings: Settings, rows: Rows) -> None:
    client = client_of(settings, node_env="production", supabase_service_role_key=SecretStr("the key"))
    key = {"Authorization": "Bearer the key"}

    assert "Send a test job" not in client.get("/", headers=key).text
    assert client.post("/sample-jobs/works", headers=key).status_code == 404
    assert rows.all("SELECT FROM coding_jobs") == []


def test_a_reader_has_none_either(settings: Settings) -> None:
    client = client_of(settings, read_only=True)

    assert "Send a test job" not in client.get("/").text
    assert client.post("/sample-jobs/works").status_code == 403

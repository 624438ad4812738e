"""All pages: errors are JSON, and the schema of the version before is served."""

import re
from importlib import resources

import pytest
from flask.testing import FlaskClient

from bridge.postgres.startup_checks import SCHEMA_VERSION
from tests.support.rows import Rows


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/functions/v1/start-coding-session", 405),
        ("DELETE", "/stats", 405),
        ("GET", "/nothing/here", 404),
        ("GET", "/functions/v1//get-session-status", 404),
        ("POST", "/functions/v1/unknown", 404),
    ],
)
def test_wrong_paths_and_methods_are_answered_in_json(client: FlaskClient, method: str, path: str, status: int) -> None:
    answer = client.open(path, method=method)

    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["success"] is False


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/queues", "/workers", "/stats", "/metrics", "/live.json", "/api/history"]
)
def test_no_proxy_shows_old_figures_as_new_ones(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers["Cache-Control"] in ("no-store", "no-cache")


def test_pages_are_served_on_the_older_schema_or_say_what_to_do(client: FlaskClient, rows: Rows) -> None:
    if rows.value("SELECT mobvibe_schema_version()") != SCHEMA_VERSION - 1:
        rows.all(resources.files("tests.support").joinpath("schema_11.sql").read_text("utf-8"))
    job_id = rows.add_job(session_id=rows.add_session())

    for path in ("/", f"/jobs/{job_id}", f"/api/jobs/{job_id}", "/queues", "/workers", "/settings", "/live.json"):
        assert client.get(path).status_code == 200, path
    listing = client.get("/jobs?q=status:pending").text
    assert re.search(r"Jobs cannot be listed: .* Run: mobvibe migrate up", listing)
    assert 'pending <span class="count">1</span>' in listing
    assert "Run: mobvibe migrate up" in client.get("/jobs?q=words").text
    assert client.get("/jobs?q=nonsense:1").status_code == 400
    for path in ("/bulk", "/api/bulk", "/api/jobs"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "Run: mobvibe migrate up" in answer.text

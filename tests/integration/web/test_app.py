"""All pages: errors are JSON."""

import pytest
from flask.testing import FlaskClient


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

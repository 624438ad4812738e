"""Queues by the API."""

from typing import Any

from flask.testing import FlaskClient

from tests.integration.web.api.described import KEY, as_described
from tests.support.rows import Rows


def test_a_queue_is_paused_and_resumed(client: FlaskClient, rows: Rows, description: dict[str, Any]) -> None:
    rows.add_job(queue="reports")

    answer = client.post("/api/queues/reports/pause", json={"reason": "a bad deploy"}, headers=KEY)
    assert as_described(answer, description, "/api/queues/{queue}/pause", "post") == {"paused": True}
    found = as_described(client.get("/api/queues", headers=KEY), description, "/api/queues")["queues"]
    assert [(queue["queue"], queue["pending"], queue["pause"]["reason"]) for queue in found] == [
        ("reports", 1, "a bad deploy")
    ]
    answer = client.post("/api/queues/reports/resume", headers=KEY)
    assert as_described(answer, description, "/api/queues/{queue}/resume", "post") == {"paused": False}
    assert client.get("/api/queues", headers=KEY).get_json()["queues"][0]["pause"] is None
    refused = client.post("/api/queues/a%20b/pause", headers=KEY)
    assert as_described(refused, description, "/api/queues/{queue}/pause", "post")["error"].startswith(
        "'a b' is no name"
    )

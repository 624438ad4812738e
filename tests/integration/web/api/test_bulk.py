"""Operations on many jobs by the API."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.integration.web.api.described import KEY, as_described
from tests.support.rows import Rows


def test_an_operation_is_planned_started_watched_and_stopped(
    client: FlaskClient, rows: Rows, description: dict[str, Any]
) -> None:
    for _ in range(3):
        rows.add_job(status="failed", queue="reports")

    answer = client.post("/api/bulk", json={"action": "retry", "q": "queue:reports"}, headers=KEY)
    planned = as_described(answer, description, "/api/bulk", "post")
    assert (planned["state"], planned["total"], planned["made_by"]) == ("planned", 3, "service role key")
    path = f"/api/bulk/{planned['id']}"
    answer = client.post(f"{path}/start", json={"rate": 10, "reason": "fixed"}, headers=KEY)
    assert as_described(answer, description, "/api/bulk/{operation}/start", "post") == {"state": "running"}
    running = as_described(client.get(path, headers=KEY), description, "/api/bulk/{operation}")
    assert (running["jobs_per_second"], running["reason"]) == (10, "fixed")
    answer = client.post(f"{path}/stop", headers=KEY)
    assert as_described(answer, description, "/api/bulk/{operation}/stop", "post") == {"state": "stopped"}
    listed = as_described(client.get("/api/bulk", headers=KEY), description, "/api/bulk")["operations"]
    assert [one["state"] for one in listed] == ["stopped"]
    assert client.get("/api/bulk/4711", headers=KEY).status_code == 404


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"action": "drop"}, "action must be one of retry, cancel, replay"),
        ({"action": "retry", "q": "colour:red"}, "colour: is no qualifier"),
        ({"action": "retry", "q": 1}, "q must be text"),
        ({"action": "retry", "filter": "queue:x"}, "'filter' is not known here; there are action, q, reason"),
        ([], "The body must be JSON"),
    ],
)
def test_what_cannot_be_read_plans_nothing(
    client: FlaskClient, rows: Rows, description: dict[str, Any], body: Any, error: str
) -> None:
    answer = client.post("/api/bulk", json=body, headers=KEY)

    assert answer.status_code == 400
    assert as_described(answer, description, "/api/bulk", "post")["error"].startswith(error)
    assert rows.all("SELECT * FROM bulk_operations") == []

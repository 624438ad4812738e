"""Values are written as JSON has them; nobody reads or changes anything without a key."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask.testing import FlaskClient

from bridge.web.api.answers import plain
from tests.support.rows import Rows


def test_nobody_reads_or_changes_anything_without_a_key(client: FlaskClient, rows: Rows) -> None:
    job_id = rows.add_job()
    for header in ({}, {"Authorization": "Bearer another"}):
        asked = (
            client.get("/api/jobs", headers=header),
            client.get(f"/api/jobs/{job_id}", headers=header),
            client.get("/api/workers", headers=header),
            client.get("/api/openapi.json", headers=header),
            client.post(f"/api/jobs/{job_id}/cancel", headers=header),
        )
        assert {answer.status_code for answer in asked} == {401}
    assert rows.value("SELECT status FROM coding_jobs") == "pending"


def test_values_of_postgres_become_json() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    key = UUID(int=7)
    assert plain([{"at": at, "took": timedelta(milliseconds=1500), "id": key, "n": 1, "none": None}]) == [
        {"at": "2026-01-02T03:04:05.000006Z", "took": 1.5, "id": str(key), "n": 1, "none": None}
    ]

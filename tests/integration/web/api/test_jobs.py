"""Jobs by the API: listed, read, retried, cancelled."""

from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.integration.web.api.described import KEY, as_described
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_a_list_leads_to_all_jobs_that_a_filter_means(
    client: FlaskClient, rows: Rows, description: dict[str, Any]
) -> None:
    meant = {str(rows.add_job(queue="reports", status="failed")) for _ in range(5)}
    rows.add_job(queue="other")
    seen: list[str] = []
    after = None
    while True:
        asked = {"q": "queue:reports status:failed", "limit": 2} | ({"after": after} if after else {})
        page = as_described(client.get("/api/jobs", query_string=asked, headers=KEY), description, "/api/jobs")
        seen += [job["id"] for job in page["jobs"]]
        after = page["next"]
        if after is None:
            break

    assert len(seen) == 5
    assert set(seen) == meant


NOTE = "Of the jobs only the latest 50,000 of each status were searched: the others are not indexed yet"


def test_pages_and_api_say_which_jobs_were_not_searched(
    client: FlaskClient, rows: Rows, description: dict[str, Any]
) -> None:
    rows.all("INSERT INTO coding_jobs (status, completed_at) SELECT 'completed', now() FROM generate_series(1, 50001)")

    page = as_described(client.get("/api/jobs?q=words", headers=KEY), description, "/api/jobs")

    assert (page["jobs"], page["note"]) == ([], NOTE)
    assert NOTE in client.get("/jobs?q=words", headers=KEY).text
    rows.all("SELECT index_jobs(100, 100); UPDATE job_search_progress SET ended_at = now()")
    assert "not indexed" not in client.get("/jobs?q=words", headers=KEY).text
    assert as_described(client.get("/api/jobs?q=words", headers=KEY), description, "/api/jobs")["note"] is None


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"q": "colour:red"}, "colour: is no qualifier"),
        ({"limit": "0"}, "limit must be a number from 1 to 500"),
        ({"limit": "999999999999999999999"}, "limit must be a number from 1 to 500"),
        ({"limit": "²"}, "limit must be a number from 1 to 500"),
        ({"after": "x"}, "The beginning of the page is malformed"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(
    client: FlaskClient, description: dict[str, Any], asked: dict[str, str], error: str
) -> None:
    answer = client.get("/api/jobs", query_string=asked, headers=KEY)

    assert answer.status_code == 400
    assert as_described(answer, description, "/api/jobs")["error"].startswith(error)


def test_a_job_has_all_its_columns_and_attempts(
    client: FlaskClient, steps: Steps, rows: Rows, description: dict[str, Any]
) -> None:
    job_id = rows.add_job(payload={"a": [1]})
    started = steps.started(steps.add_worker())
    steps.fail(started, "no luck")

    job = as_described(client.get(f"/api/jobs/{job_id}", headers=KEY), description, "/api/jobs/{job_id}")

    assert (job["id"], job["payload"]["a"]) == (str(job_id), [1])
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["failed"]
    workers = as_described(client.get("/api/workers", headers=KEY), description, "/api/workers")["workers"]
    assert len(workers) == 1
    assert as_described(client.get(f"/api/jobs/{uuid4()}", headers=KEY), description, "/api/jobs/{job_id}")


def test_an_action_is_audited_with_its_reason(client: FlaskClient, rows: Rows, description: dict[str, Any]) -> None:
    job_id = rows.add_job()
    path = "/api/jobs/{job_id}/cancel"

    answer = client.post(f"/api/jobs/{job_id}/cancel", json={"reason": "a mistake\x00 \ud800"}, headers=KEY)

    assert as_described(answer, description, path, "post") == {"status": "cancelled"}
    assert rows.all("SELECT action, done_by, reason FROM job_audit") == [
        {"action": "cancel", "done_by": "service role key", "reason": "a mistake"}
    ]
    again = client.post(f"/api/jobs/{job_id}/retry", headers=KEY)
    assert as_described(again, description, "/api/jobs/{job_id}/retry", "post") == {"status": "pending"}
    for body in ("[1]", '{"reason": 1}', "{"):
        refused = client.post(f"/api/jobs/{job_id}/cancel", data=body, headers=KEY)
        assert as_described(refused, description, path, "post")["error"].startswith("The body must be JSON")
    assert rows.value("SELECT status FROM coding_jobs") == "pending"


def test_a_copy_is_made_once_with_what_was_changed(
    client: FlaskClient, rows: Rows, description: dict[str, Any]
) -> None:
    job_id, copy = rows.add_job(status="failed", payload={"a": 1}, prompt="old"), uuid4()
    path = "/api/jobs/{job_id}/replay"
    body = {"payload": {"a": 2}, "prompt": "new\x00", "copy": str(copy), "reason": "a typing error"}

    for _ in range(2):
        answer = client.post(f"/api/jobs/{job_id}/replay", json=body, headers=KEY)
        assert as_described(answer, description, path, "post") == {"copy": str(copy)}

    assert rows.value("SELECT count(*) FROM coding_jobs") == 2
    made = rows.job(copy)
    assert (made["payload"], made["prompt"], made["status"]) == ({"a": 2}, "new\ufffd", "pending")
    for wrong in ({"payload": [1]}, {"prompt": 1}, {"copy": "x"}, {"priority": 1}):
        refused = client.post(f"/api/jobs/{job_id}/replay", json=wrong, headers=KEY)
        assert as_described(refused, description, path, "post")["success"] is False
    missing = client.post(f"/api/jobs/{uuid4()}/replay", headers=KEY)
    assert as_described(missing, description, path, "post")["error"] == "Not found"

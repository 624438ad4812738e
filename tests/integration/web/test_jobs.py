"""The pages of jobs: search, one job, and what an operator does to it.

Rows of docs/reference/security.md: S15.
"""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.web import client_of

HOSTILE = '<script>alert("x")</script>'


def act(client: FlaskClient, job_id: UUID, action: str, **form: str) -> int:
    found = re.search('name="csrf" value="([^"]+)"', client.get(f"/jobs/{job_id}").text)
    token = found[1] if found else ""
    return client.post(f"/jobs/{job_id}/{action}", data={"csrf": token} | form).status_code


def test_a_search_shows_the_jobs_that_it_means(client: FlaskClient, rows: Rows) -> None:
    meant = rows.add_job(queue="reports", status="failed")
    other = rows.add_job(queue="other")

    page = client.get("/jobs", query_string={"q": "queue:reports status:failed"}).text

    assert f"/jobs/{meant}" in page
    assert f"/jobs/{other}" not in page
    assert 'value="queue:reports status:failed"' in page


def test_the_count_of_each_tab_is_that_of_its_list(client: FlaskClient, rows: Rows) -> None:
    for status, number in (("pending", 3), ("completed", 2), ("failed", 1)):
        for _ in range(number):
            rows.add_job(status=status, queue="reports")
    rows.add_job(queue="other")

    page = client.get("/jobs", query_string={"q": "queue:reports"}).text

    tabs = re.findall(r'href="([^"]+)"[^>]*>(\w+) <span class="count">(\d+)</span>', page)
    assert [(name, int(count)) for _, name, count in tabs] == [
        ("pending", 3), ("processing", 0), ("completed", 2), ("failed", 1), ("cancelled", 0),
    ]  # fmt: skip
    for address, _, count in tabs:
        assert max(0, client.get(address).text.count("<tr>") - 1) == int(count)  # without the heading
    assert "count" not in client.get("/jobs", query_string={"q": "word"}).text


def test_pages_lead_to_all_jobs(client: FlaskClient, rows: Rows) -> None:
    rows.all("INSERT INTO coding_jobs (created_at) SELECT now() FROM generate_series(1, 120)")
    seen: list[str] = []
    address = "/jobs?q=status:pending"
    while address:
        page = client.get(address).text
        seen += re.findall(r'<th scope="row"><a href="/jobs/([0-9a-f-]+)"', page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        address = found[1].replace("&amp;", "&") if found else ""

    assert len(seen) == len(set(seen)) == 120


@pytest.mark.parametrize("query", ["q=stat:x", "after=x", "q=%00"])
def test_a_filter_that_cannot_be_read_is_explained(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/jobs?{query}")

    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_a_job_is_shown_with_its_attempts_and_events(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    session = rows.add_session()
    job_id = rows.add_job(session_id=session, prompt="paint it blue", max_retries=3)
    held = steps.started()
    steps.fail(held, "it was red")
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'thinking', '{\"a\": 1}')", [session]
    )

    page = client.get(f"/jobs/{job_id}").text

    for text in ("paint it blue", "it was red", "thinking", "1 of 3", str(session), "Ended attempts"):
        assert text in page


def test_the_latest_events_are_shown_and_the_stream_goes_on_behind_them(client: FlaskClient, rows: Rows) -> None:
    session = rows.add_session()
    job_id = rows.add_job(session_id=session)
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data)"
        " SELECT %s, 'terminal', jsonb_build_object('output', E'\\x1b[31mred\\x1b[0m ' || n)"
        " FROM generate_series(1, 250) AS n",
        [session],
    )

    page = client.get(f"/jobs/{job_id}").text

    shown = re.findall(r'<strong>terminal</strong> <pre><span class="ansi-red">red</span> (\d+)</pre>', page)
    assert shown == [str(n) for n in range(51, 251)]
    assert f'data-stream="/sessions/{session}/events" data-last="250"' in page


def test_what_users_write_is_text(client: FlaskClient, rows: Rows) -> None:
    job_id = rows.add_job(prompt=HOSTILE, status="failed", actor=HOSTILE)
    rows.all("UPDATE coding_jobs SET error_message = %s WHERE id = %s", [HOSTILE, job_id])

    for address in ("/jobs", f"/jobs/{job_id}", f"/jobs?q={HOSTILE}", f"/jobs?q=stat:{HOSTILE}"):
        page = client.get(address).text
        assert "&lt;script&gt;" in page
        assert "<script>alert" not in page


def test_an_operator_retries_and_cancels_with_a_reason(client: FlaskClient, rows: Rows) -> None:
    job_id = rows.add_job(status="failed")

    assert act(client, job_id, "retry", reason="fixed it") == 302
    assert rows.status(job_id) == "pending"
    assert act(client, job_id, "cancel") == 302
    assert rows.status(job_id) == "cancelled"

    audit: list[dict[str, Any]] = rows.all("SELECT action, done_by, reason FROM job_audit ORDER BY id")
    assert audit == [
        {"action": "retry", "done_by": "dashboard", "reason": "fixed it"},
        {"action": "cancel", "done_by": "dashboard", "reason": None},
    ]


def test_a_change_needs_the_token_of_the_page(client: FlaskClient, rows: Rows) -> None:
    job_id = rows.add_job(status="failed")

    assert client.post(f"/jobs/{job_id}/retry").status_code == 403
    assert client.post(f"/jobs/{job_id}/retry", data={"csrf": "guessed"}).status_code == 403
    assert rows.status(job_id) == "failed"


def test_a_reader_sees_no_actions_and_can_do_none(settings: Settings, rows: Rows) -> None:
    job_id = rows.add_job(status="failed")
    reader = client_of(settings, read_only=True)

    assert "Run again" not in reader.get(f"/jobs/{job_id}").text
    assert act(reader, job_id, "retry") == 403
    assert rows.status(job_id) == "failed"


def test_the_service_role_key_acts_without_a_token(settings: Settings, rows: Rows) -> None:
    job_id = rows.add_job(status="failed")
    closed = client_of(settings, node_env="production", supabase_service_role_key=SecretStr("the key"))

    answer = closed.post(f"/jobs/{job_id}/retry", headers={"Authorization": "Bearer the key"})

    assert answer.status_code == 302
    assert rows.value("SELECT done_by FROM job_audit") == "service role key"


def test_an_unknown_job_is_not_found(client: FlaskClient) -> None:
    assert client.get(f"/jobs/{uuid4()}").status_code == 404
    assert client.get("/jobs/x").status_code == 404
    assert act(client, uuid4(), "retry") == 403  # without a page there is no token

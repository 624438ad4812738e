"""The pages of bulk operations: plan, confirm, watch, stop."""

import re
from html import unescape

import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bridge.postgres.link import Link
from bridge.settings import Settings
from bridge.web.access import csrf
from tests.support.bulk import add_failed, planned, run, shown, started
from tests.support.rows import Rows
from tests.support.web import client_of


def post(client: FlaskClient, address: str, **form: str | list[str]) -> TestResponse:
    with client.session_transaction() as cookie:
        token = csrf.token_of(cookie)
    return client.post(address, data={"csrf": token} | form)


def test_all_jobs_of_a_search_are_retried(client: FlaskClient, rows: Rows, link: Link) -> None:
    add_failed(rows, 120)
    add_failed(rows, 1, queue="other")
    page = client.get("/jobs?q=status:failed queue:tests").text
    assert "Retry all 120 that match" in " ".join(page.split())

    confirm = client.get(post(client, "/bulk", action="retry", q="status:failed queue:tests").location)

    assert "<h1>Retry 120 jobs</h1>" in confirm.text
    assert "120 failed" in confirm.text
    assert 'href="/jobs?q=status:failed+queue:tests"' in confirm.text
    assert shown(link, 1)["state"] == "planned"
    begun = post(client, "/bulk/1/start", reason="fixed", rate="500")
    assert (begun.status_code, begun.location) == (302, "/bulk/1")
    run(link, limit=50, looked_at=1000)
    running = client.get("/bulk/1")
    assert running.headers["Refresh"] == "2"
    assert '<progress aria-label="Jobs acted on" value="50" max="120">' in running.text
    rows.all("UPDATE bulk_operations SET next_batch_at = now(), jobs_per_second = NULL")
    run(link, limit=50, looked_at=1000)
    end = client.get("/bulk/1")
    assert "Refresh" not in end.headers
    assert "<strong>done</strong>" in end.text
    assert "“" not in end.text and "fixed" in end.text
    assert 'href="/bulk/1"' in client.get("/bulk").text


def test_the_selected_jobs_are_retried(client: FlaskClient, rows: Rows, link: Link) -> None:
    add_failed(rows, 5)
    page = client.get("/jobs?q=status:failed").text
    boxes = re.findall(r'<input type="checkbox" name="id" value="([^"]+)" form="selection"', page)
    assert len(boxes) == 5
    assert re.search(r'<form method="post" action="/bulk" id="selection"', page)

    confirm = client.get(post(client, "/bulk", action="retry", chosen="yes", id=boxes[1:3]).location)

    assert "<h1>Retry 2 jobs</h1>" in confirm.text
    assert f'href="/jobs?q=id:{boxes[1]},{boxes[2]}"' in confirm.text
    assert f"/jobs/{boxes[1]}" in client.get(f"/jobs?q=id:{boxes[1]},{boxes[2]}").text
    post(client, "/bulk/1/start", reason="fixed")
    run(link)
    assert {str(row["job_id"]) for row in rows.all("SELECT job_id FROM job_audit")} == set(boxes[1:3])


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "No job is selected: tick the boxes of some on the page of jobs"),
        ({"id": "7"}, "id: must be UUIDs, with commas between them"),
        ({"id": "11111111-2222-4333-8444-555555555555 queue:x"}, "it goes together with status: only"),
    ],
)
def test_a_selection_that_cannot_be_is_explained(client: FlaskClient, form: dict[str, str], said: str) -> None:
    answer = post(client, "/bulk", action="retry", chosen="yes", **form)

    assert answer.status_code == 400
    assert said in unescape(answer.text)


def test_a_page_that_refreshes_can_be_kept_still(client: FlaskClient, rows: Rows, link: Link) -> None:
    add_failed(rows, 3)
    operation = started(link, "retry", "status:failed")

    assert "Refresh" in client.get(f"/bulk/{operation}").headers
    assert "Refresh" not in client.get(f"/bulk/{operation}?refresh=off").headers
    assert "Refresh" not in post(client, f"/bulk/{operation}/start", rate="x").headers, "nothing is to be got there"


def test_an_operation_is_stopped_on_its_page(client: FlaskClient, rows: Rows, link: Link) -> None:
    add_failed(rows, 3)
    operation = started(link, "retry", "status:failed")

    assert post(client, f"/bulk/{operation}/stop").status_code == 302

    assert "<strong>stopped</strong>" in client.get(f"/bulk/{operation}").text
    assert shown(link, operation)["stopped_by"] == "dashboard"
    assert run(link) == []


def test_a_start_that_is_sent_twice_starts_once(client: FlaskClient, rows: Rows, link: Link) -> None:
    add_failed(rows, 3)
    operation = planned(link, "retry", "status:failed")

    assert {post(client, f"/bulk/{operation}/start").location for _ in range(2)} == {f"/bulk/{operation}"}
    run(link)
    post(client, f"/bulk/{operation}/start")

    assert run(link) == []
    assert rows.value("SELECT count(*) FROM job_audit") == 3


@pytest.mark.parametrize(
    ("q", "actions"),
    [
        ("", ["retry", "cancel", "replay"]),
        ("status:failed", ["retry", "replay"]),
        ("status:pending", ["retry", "cancel"]),
        ("status:processing", ["cancel"]),
    ],
)
def test_only_what_can_be_done_to_jobs_of_a_status_is_offered(
    client: FlaskClient, rows: Rows, q: str, actions: list[str]
) -> None:
    for status in ("pending", "processing", "failed"):
        rows.add_job(status=status)
    rows.all("UPDATE coding_jobs SET claimed_at = now()")

    page = client.get("/jobs", query_string={"q": q}).text

    found = re.findall('name="action" value="([a-z]+)"', page)
    assert found == actions + actions, "to all that match, and to those that are selected"


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"action": "retry", "q": "stat:x"}, "stat: is no qualifier"),
        ({"action": "cancel", "q": "status:failed"}, "status: cancel acts on jobs that are pending, processing"),
        ({"action": "retry", "q": "x" * 4001}, "longer than 4000 characters"),
        ({"action": "delete", "q": ""}, "Bad Request"),
        ({}, "Bad Request"),
    ],
)
def test_what_cannot_be_planned_is_explained(
    client: FlaskClient, rows: Rows, form: dict[str, str], problem: str
) -> None:
    answer = post(client, "/bulk", **form)

    assert answer.status_code == 400
    assert problem in unescape(answer.text)
    assert rows.value("SELECT count(*) FROM bulk_operations") == 0


def test_a_rate_that_is_no_number_is_explained_and_nothing_typed_is_lost(
    client: FlaskClient, rows: Rows, link: Link
) -> None:
    add_failed(rows, 3)
    operation = planned(link, "retry", "status:failed")

    answer = post(client, f"/bulk/{operation}/start", rate="<many>", reason="my reason")

    assert answer.status_code == 400
    assert "must be a number from 1 to 100000" in answer.text
    assert 'value="&lt;many&gt;"' in answer.text
    assert 'value="my reason"' in answer.text
    assert shown(link, operation)["state"] == "planned"


def test_an_operation_that_matches_nothing_cannot_be_started(client: FlaskClient, link: Link) -> None:
    page = client.get(f"/bulk/{planned(link, 'retry', 'queue:none')}").text

    assert "No job matches." in page
    assert "/start" not in page


def test_jobs_that_are_too_many_to_count_are_acted_on_all_the_same(
    client: FlaskClient, rows: Rows, link: Link, dsn: str
) -> None:
    add_failed(rows, 3)
    with psycopg.connect(dsn) as somebody:
        somebody.execute("LOCK TABLE coding_jobs")
        hurried = Link(dsn, "web", statement_timeout_ms=300)
        operation = planned(hurried, "retry", "status:failed")
    hurried.close()

    page = client.get(f"/bulk/{operation}").text

    assert "<h1>Retry all jobs that match</h1>" in page
    assert "Not counted" in page
    post(client, f"/bulk/{operation}/start")
    assert '<progress aria-label="Jobs acted on"></progress>' in client.get(f"/bulk/{operation}").text


def test_what_users_write_is_text(client: FlaskClient, rows: Rows, link: Link) -> None:
    add_failed(rows, 1, error="<script>alert(1)</script>")
    operation = started(link, "retry", '"<script>alert(1)</script>"')
    rows.all("UPDATE bulk_operations SET first_refusal = '<script>alert(2)', reason = '<script>alert(3)'")

    for address in ("/bulk", f"/bulk/{operation}", "/dead"):
        assert "<script>alert" not in client.get(address).text


@pytest.mark.parametrize("address", ["/bulk", "/bulk/1/start", "/bulk/1/stop"])
def test_each_change_needs_the_token_and_an_administrator(
    client: FlaskClient, settings: Settings, rows: Rows, link: Link, address: str
) -> None:
    add_failed(rows, 3)
    planned(link, "retry", "status:failed")
    form = {"action": "retry", "q": "status:failed"}
    reader = client_of(settings, read_only=True)

    assert client.post(address, data=form).status_code == 403
    assert client.post(address, data=form | {"csrf": "guessed"}).status_code == 403
    assert post(reader, address, **form).status_code == 403
    assert [row["state"] for row in rows.all("SELECT state FROM bulk_operations")] == ["planned"]


def test_a_reader_watches_and_has_no_buttons(settings: Settings, rows: Rows, link: Link) -> None:
    add_failed(rows, 3)
    reader = client_of(settings, read_only=True)
    pages = ["/jobs?q=status:failed", f"/bulk/{planned(link, 'retry', 'status:failed')}", "/dead", "/bulk"]
    pages.append(f"/bulk/{started(link, 'retry', 'status:failed')}")

    for page in pages:
        answer = reader.get(page)
        assert answer.status_code == 200
        assert 'method="post"' not in answer.text


@pytest.mark.parametrize("address", ["/bulk/7", "/bulk/9223372036854775808", "/bulk/x"])
def test_an_operation_that_does_not_exist_is_not_found(client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 404
    assert post(client, f"{address}/start").status_code == 404
    assert post(client, f"{address}/stop").status_code == 404


def test_prompts_that_are_hidden_cannot_be_counted(settings: Settings, rows: Rows) -> None:
    rows.add_job(status="failed", prompt="secret")

    answer = post(client_of(settings, hide_prompts=True), "/bulk", action="retry", q="secret")

    assert answer.status_code == 400
    assert "Prompts are hidden" in answer.text
    assert rows.value("SELECT count(*) FROM bulk_operations") == 0

"""The page of queues: what it shows, and how queues are paused and resumed there."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from bridge.settings import Settings
from bridge.web.access import csrf
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.web import client_of

HOSTILE = '<script>alert("x")</script>'
REPORTS = {"build_report": {"queue": "reports", "max_retries": 3}}


def act(client: FlaskClient, queue: str, action: str, **form: str) -> TestResponse:
    found = re.search('name="csrf" value="([^"]+)"', client.get("/queues").text)
    token = found[1] if found else ""
    return client.post(f"/queues/{quote(queue, safe='')}/{action}", data={"csrf": token} | form)


def row(page: str, queue: str) -> str:
    found = re.search(rf'<tr id="queue-{re.escape(queue)}">.*?</tr>', page, re.DOTALL)
    assert found, page
    return found[0]


@pytest.fixture
def fresh(client: FlaskClient) -> FlaskClient:
    """A client that counts for each page anew."""
    client.application.extensions["mobvibe"].statistics._seconds = 0
    return client


def test_each_count_is_that_of_the_list_that_it_links_to(client: FlaskClient, rows: Rows) -> None:
    numbers = {"pending": 3, "processing": 0, "completed": 2, "failed": 1, "cancelled": 1}
    for status, number in numbers.items():
        for _ in range(number):
            rows.add_job(status=status, queue="reports")
    rows.add_job(queue="reports-2")

    found = row(client.get("/queues").text, "reports")

    links = re.findall(r'<li><a href="([^"]+)">(\d+) (\w+)</a>', found)
    assert {name: int(count) for _, count, name in links} == numbers
    for address, count, _ in links:
        listed = client.get(unescape(address)).text
        assert max(0, listed.count("<tr>") - 1) == int(count)  # without the heading


def test_the_age_of_the_oldest_job_and_the_workers_are_shown(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    rows.add_job(queue="reports", created_at=datetime.now(UTC) - timedelta(hours=2, minutes=5))
    steps.add_worker(slots=3, actors=REPORTS)
    steps.add_worker(slots=4, actors=REPORTS)
    steps.silence(steps.add_worker(slots=50, actors=REPORTS))
    rows.add_job(queue="nobodys")

    page = client.get("/queues").text

    assert "1 pending</a>, the oldest for 2 h" in row(page, "reports")
    assert ">2 with 7 slots<" in row(page, "reports")
    assert '<td data-name="Workers">none</td>' in row(page, "nobodys")


def test_without_queues_the_page_says_how_to_pause_one(client: FlaskClient) -> None:
    assert "mobvibe queues pause NAME" in client.get("/queues").text


def test_an_operator_pauses_and_resumes_a_queue_with_a_reason(fresh: FlaskClient, rows: Rows, steps: Steps) -> None:
    rows.add_job()
    steps.add_worker()
    assert "Pause coding: 1 job waits" in row(fresh.get("/queues").text, "coding")

    answer = act(fresh, "coding", "pause", reason="the disk is full")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/queues#queue-coding")
    assert steps.claim() == []
    shown = row(fresh.get("/queues").text, "coding")
    assert re.search(r"<strong>paused</strong> <time .*</time> by dashboard: the disk is full", shown)
    rows.add_job()
    assert "Resume coding: 2 jobs wait" in row(fresh.get("/queues").text, "coding")

    assert act(fresh, "coding", "resume").status_code == 302
    assert len(steps.claim()) == 2
    assert ">open<" in row(fresh.get("/queues").text, "coding")
    assert rows.all("SELECT action, target, done_by, reason FROM operator_audit ORDER BY id") == [
        {"action": "pause_queue", "target": "coding", "done_by": "dashboard", "reason": "the disk is full"},
        {"action": "resume_queue", "target": "coding", "done_by": "dashboard", "reason": None},
    ]


def test_a_form_that_is_sent_twice_changes_nothing_more(client: FlaskClient, rows: Rows) -> None:
    rows.add_job()

    for action in ("pause", "pause", "resume", "resume"):
        assert act(client, "coding", action, reason=action).status_code == 302

    assert [found["action"] for found in rows.all("SELECT action FROM operator_audit ORDER BY id")] == [
        "pause_queue", "resume_queue",
    ]  # fmt: skip


def test_a_queue_that_nobody_has_seen_is_paused_and_shown(client: FlaskClient, rows: Rows) -> None:
    rows.add_job()

    assert act(client, "not-yet", "pause").status_code == 302

    assert "paused" in row(client.get("/queues").text, "not-yet")


@pytest.mark.parametrize("name", ["a/b", "ä ö", 'x"y', "x'y", "a?b#c", "a%2Fb", "..", HOSTILE, "q" * 201])
def test_a_name_that_no_queue_can_have_is_refused_in_words(client: FlaskClient, rows: Rows, name: str) -> None:
    rows.add_job()

    answer = act(client, name, "pause")

    assert answer.status_code == 400
    assert re.search('role="alert">[^<]+ is no name of a queue', answer.text)
    assert "<script>alert" not in answer.text
    assert rows.all("SELECT * FROM queue_pauses") == []


@pytest.mark.parametrize("name", ["a.b-c_d", "pause", "resume", "NULL", "q" * 200])
def test_any_name_of_a_queue_works_in_addresses(client: FlaskClient, rows: Rows, name: str) -> None:
    rows.add_job(queue=name)
    assert act(client, name, "pause").status_code == 302
    form = re.search(r'action="([^"]+/resume)"', row(client.get("/queues").text, name))
    assert form
    token = re.search('name="csrf" value="([^"]+)"', client.get("/queues").text)
    assert token

    client.post(unescape(form[1]), data={"csrf": token[1]})

    assert rows.all("SELECT * FROM queue_pauses") == []


def test_rows_that_another_program_wrote_do_not_break_the_page(client: FlaskClient, rows: Rows) -> None:
    rows.all("INSERT INTO job_counts (queue, pending) VALUES (%s, 1), ('a/b', 2)", [HOSTILE])

    page = client.get("/queues").text

    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


def test_what_operators_write_is_text(client: FlaskClient, rows: Rows) -> None:
    job_id = rows.add_job()
    act(client, "coding", "pause", reason=HOSTILE)

    for address in ("/queues", f"/jobs/{job_id}"):
        page = client.get(address).text
        assert "&lt;script&gt;" in page
        assert "<script>alert" not in page


def test_a_pause_needs_the_token_of_the_page(client: FlaskClient, rows: Rows) -> None:
    rows.add_job()

    for form in ({}, {"csrf": "guessed"}):
        assert client.post("/queues/coding/pause", data=form).status_code == 403

    assert rows.all("SELECT * FROM queue_pauses") == []


def test_a_reader_sees_the_queues_and_pauses_none(settings: Settings, rows: Rows) -> None:
    rows.add_job()
    reader = client_of(settings, read_only=True)

    page = reader.get("/queues").text

    assert "open" in row(page, "coding")
    assert "<form" not in row(page, "coding")
    with reader.session_transaction() as cookie:
        token = csrf.token_of(cookie)  # their pages have no form here
    assert reader.post("/queues/coding/pause", data={"csrf": token}).status_code == 403
    assert rows.all("SELECT * FROM queue_pauses") == []


def test_the_service_role_key_pauses_without_a_token(settings: Settings, rows: Rows) -> None:
    closed = client_of(settings, node_env="production", supabase_service_role_key=SecretStr("the key"))

    assert closed.post("/queues/coding/pause").status_code in (401, 403)
    answer = closed.post("/queues/coding/pause", headers={"Authorization": "Bearer the key"})

    assert answer.status_code == 302
    assert rows.value("SELECT paused_by FROM queue_pauses") == "service role key"


def test_the_page_of_a_job_says_that_it_waits_because_of_a_pause(client: FlaskClient, rows: Rows) -> None:
    waiting, done = rows.add_job(), rows.add_job(status="completed")
    assert "paused" not in client.get(f"/jobs/{waiting}").text

    act(client, "coding", "pause", reason="the disk is full")

    assert re.search("paused</a> <time .* by dashboard: the disk is full", client.get(f"/jobs/{waiting}").text)
    assert "paused" not in client.get(f"/jobs/{done}").text


def test_the_pages_are_served_on_the_schema_before(client: FlaskClient, rows: Rows) -> None:
    job_id = rows.add_job()
    rows.all("DROP TABLE queue_pauses")

    assert ">open<" in row(client.get("/queues").text, "coding")
    assert client.get(f"/jobs/{job_id}").status_code == 200


def test_without_postgres_the_page_says_so(cut_off: FlaskClient) -> None:
    answer = cut_off.get("/queues", headers={"Accept": "text/html"})

    assert answer.status_code == 503
    assert "geheim" not in answer.text


def test_the_latencies_of_each_hop_are_shown_by_queue(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    rows.add_job(queue="reports")
    rows.all("INSERT INTO latency_history VALUES (60, now(), 'reports', 'hand_over', 6, 1)")

    found = re.search(r'<th scope="row">reports</th>.*?</tr>', client.get("/queues").text)

    assert found
    assert '<td data-name="Claimed → handed over">3 ms / 3 ms / 3 ms</td>' in found[0]
    assert '<td data-name="Started → ended">\u2013 / \u2013 / \u2013</td>' in found[0]


def test_the_older_schema_has_no_latencies(client: FlaskClient, rows: Rows) -> None:
    rows.add_job(queue="reports")
    rows.all("DROP TABLE latency_history")

    answer = client.get("/queues")

    assert (answer.status_code, "Latencies" in answer.text) == (200, False)

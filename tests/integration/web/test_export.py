"""Files of jobs: what they hold, how many, and what a spreadsheet makes of it."""

import csv
import io
import json

import pytest
from flask.testing import FlaskClient

from bridge.settings import Settings
from bridge.web import shown_jobs
from tests.support.rows import Rows
from tests.support.web import client_of


def test_the_jobs_of_a_search_are_exported(client: FlaskClient, rows: Rows) -> None:
    job = rows.add_job(
        queue="reports", status="failed", prompt='say "é",\nthen go', error_message="boom", completed_at="now"
    )
    rows.add_job(queue="other")
    page = client.get("/jobs?q=queue:reports").text
    assert "/jobs/export.csv?q=queue:reports" in page

    answer = client.get("/jobs/export.csv?q=queue:reports")
    lines = client.get("/jobs/export.jsonl?q=queue:reports")

    assert answer.headers["Content-Disposition"] == "attachment; filename=jobs.csv"
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["id"], row["status"], row["error_message"]) == (str(job), "failed", "boom")
    assert row["prompt"] == 'say "é",\nthen go'
    (found,) = [json.loads(line) for line in lines.text.splitlines()]
    assert found.keys() == row.keys()
    assert (found["id"], found["prompt"], found["started_at"]) == (str(job), row["prompt"], None)
    assert found["completed_at"].endswith("Z")


def test_a_file_without_jobs_has_the_names_of_the_columns(client: FlaskClient) -> None:
    assert client.get("/jobs/export.csv").text.startswith("id,status,actor,queue,")
    assert client.get("/jobs/export.jsonl").text == ""


def test_a_file_has_all_pages_up_to_a_bound(client: FlaskClient, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_jobs, "_EXPORT_PAGE", 10)
    rows.all("INSERT INTO coding_jobs (created_at) SELECT now() FROM generate_series(1, 45)")

    found = [json.loads(line)["id"] for line in client.get("/jobs/export.jsonl").text.splitlines()]
    monkeypatch.setattr(shown_jobs, "EXPORT_MOST", 30)
    bounded = [json.loads(line)["id"] for line in client.get("/jobs/export.jsonl").text.splitlines()]

    assert len(set(found)) == len(found) == 45
    assert bounded == found[:30]


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_spreadsheet_takes_no_text_for_a_formula(client: FlaskClient, rows: Rows, text: str) -> None:
    rows.add_job(status="failed", prompt=text)

    (row,) = csv.DictReader(io.StringIO(client.get("/jobs/export.csv").text, newline=""))

    assert row["prompt"] == f"'{text}"


def test_hidden_prompts_are_not_exported(settings: Settings, rows: Rows) -> None:
    rows.add_job(prompt="a secret plan")
    client = client_of(settings, hide_prompts=True)

    for form in ("csv", "jsonl"):
        answer = client.get(f"/jobs/export.{form}")
        assert answer.status_code == 200
        assert "secret" not in answer.text
    assert client.get("/jobs/export.csv?q=secret").status_code == 400


def test_a_filter_that_cannot_be_read_is_explained(client: FlaskClient) -> None:
    answer = client.get("/jobs/export.csv?q=stat:x")

    assert answer.status_code == 400
    assert "stat: is no qualifier" in answer.text


def test_without_postgres_no_file_begins(cut_off: FlaskClient) -> None:
    assert cut_off.get("/jobs/export.csv").status_code == 503

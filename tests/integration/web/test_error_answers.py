"""An error is a page for who reads with a browser, and JSON for everybody else."""

import pytest
from flask.testing import FlaskClient

from bridge.web.access import csrf
from tests.support.rows import Rows


def test_a_browser_gets_a_page(client: FlaskClient) -> None:
    answer = client.get("/nothing", headers={"Accept": "text/html,*/*"})

    assert answer.status_code == 404
    assert answer.content_type.startswith("text/html")
    assert "There is no such page" in answer.text
    assert 'href="/queues"' in answer.text, "no dead end"


def test_a_script_gets_json(client: FlaskClient) -> None:
    answer = client.get("/nothing", headers={"Accept": "*/*"})

    assert (answer.status_code, answer.json) == (404, {"success": False, "error": "Not found"})


def test_an_unreachable_store_is_named_without_its_address(cut_off: FlaskClient) -> None:
    answer = cut_off.get("/stats")

    assert answer.status_code == 503
    assert answer.json == {"success": False, "error": "Postgres is unavailable, try again later"}
    assert "geheim" not in answer.text


@pytest.mark.parametrize("path", ["/jobs", "/api/jobs", "/", "/stats", "/settings"])
def test_a_query_of_raw_bytes_is_refused_on_every_page(client: FlaskClient, path: str) -> None:
    answer = client.get(path, environ_overrides={"QUERY_STRING": "q=%&=&&=\xff"})

    assert (answer.status_code, answer.json) == (400, {"success": False, "error": "Query is not valid UTF-8"})


def test_what_a_hosts_trigger_refuses_is_no_outage(
    client: FlaskClient, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = rows.add_job(status="failed")
    rows.all(
        "CREATE FUNCTION no_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE 'jobs of 2025 are frozen'; END $$;"
        " CREATE TRIGGER no_change BEFORE UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION no_change()"
    )
    client.get("/")
    with client.session_transaction() as cookie:
        token = csrf.token_of(cookie)

    answer = client.post(f"/api/jobs/{job_id}/retry", headers={csrf.HEADER: token})

    assert answer.status_code == 409
    assert answer.json == {"success": False, "error": "The database refuses this. The log of mobvibe web says why"}
    assert "jobs of 2025 are frozen" in caplog.text

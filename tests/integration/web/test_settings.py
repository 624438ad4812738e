"""The page of settings: for administrators, without secrets, with what operators did."""

from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from tests.support.rows import Rows
from tests.support.web import client_of

KEY = {"Authorization": "Bearer the-service-role-key"}


def test_settings_are_shown_without_their_secrets(settings: Settings) -> None:
    client = client_of(settings, supabase_service_role_key=SecretStr("the-service-role-key"))

    page = client.get("/settings", headers=KEY).text

    assert "LEASE_MS" in page
    assert "***" in page
    assert "the-service-role-key" not in page
    assert client.application.extensions["mobvibe"].settings.supabase_jwt_secret.get_secret_value() not in page


def test_what_operators_did_is_shown_with_its_reason(client: FlaskClient, rows: Rows) -> None:
    job_id = rows.add_job()
    rows.all("SELECT cancel_job(%s, 'ada', 'a <b>mistake</b>')", [job_id])

    rows.all("SELECT pause_queue('reports', 'ben', 'a bad deploy')")

    page = client.get("/settings").text

    assert page.index("pause_queue") < page.index("cancel: pending")  # the latest first
    assert "a bad deploy" in page
    assert "cancel: pending → cancelled" in page
    assert "ada" in page
    assert "a &lt;b&gt;mistake&lt;/b&gt;" in page
    assert f"/jobs/{job_id}" in page


def test_readers_do_not_see_settings(settings: Settings) -> None:
    client = client_of(settings, read_only=True)

    assert client.get("/settings").status_code == 403
    assert "/settings" not in client.get("/").text

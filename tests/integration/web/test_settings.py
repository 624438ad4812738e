"""The page of settings: without secrets, with what operators did; those in effect for administrators alone.

Rows of docs/reference/security.md: S16.
"""

import io
import json
import zipfile
from typing import Any

from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.postgres import bulk
from bridge.postgres.job_filter import parse_filter
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


def test_the_support_bundle_is_for_administrators(settings: Settings, rows: Rows) -> None:
    client = client_of(settings, supabase_service_role_key=SecretStr("the-service-role-key"))
    assert "/settings/support-bundle" in client.get("/settings", headers=KEY).text

    answer = client.get("/settings/support-bundle", headers=KEY)

    assert answer.mimetype == "application/zip"
    assert "attachment; filename=mobvibe-support-" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as bundle:
        assert json.loads(bundle.read("checks.json"))[0]["postgres"] == "ok"
        assert "the-service-role-key" not in "".join(bundle.read(name).decode() for name in bundle.namelist())
    assert client_of(settings, read_only=True).get("/settings/support-bundle").status_code == 403


def test_a_bulk_operation_is_one_entry_of_what_operators_did(client: FlaskClient, rows: Rows) -> None:
    for number in range(150):  # more than the page lists
        rows.add_job(status="failed", error_message=f"{number}")
    single = rows.add_job()
    rows.all("SELECT cancel_job(%s, 'ada', 'a mistake')", [single])
    operation = bulk.plan(_call(client), bulk.Action.RETRY, parse_filter("status:failed"), by="eve")
    planned = bulk.plan(_call(client), bulk.Action.CANCEL, parse_filter("status:pending"), by="eve")
    bulk.start(_call(client), operation, by="ben", reason="the <key> is valid again", rate=None)
    assert rows.value("SELECT done FROM run_bulk_batch(1000, 10000)") == 150

    page = client.get("/settings").text

    assert page.count("bulk retry") == 1
    assert "bulk retry: done" in page
    assert "the &lt;key&gt; is valid again" in page
    assert f'href="/bulk/{operation}">status:failed</a>' in page
    assert page.index("bulk retry") < page.index("cancel: pending → cancelled"), "the single one is still there"
    assert f"/bulk/{planned}" not in page, "nothing was done yet"


def test_who_stopped_a_bulk_operation_is_shown(client: FlaskClient, rows: Rows) -> None:
    operation = bulk.plan(_call(client), bulk.Action.RETRY, parse_filter(""), by="eve")
    bulk.start(_call(client), operation, by="ben", reason=None, rate=1)
    bulk.stop(_call(client), operation, by="zoe")

    page = client.get("/settings").text

    assert "bulk retry: stopped by zoe" in page
    assert ">all jobs</a>" in page


def test_readers_see_all_but_the_settings_in_effect(settings: Settings, rows: Rows) -> None:
    rows.all("SELECT pause_queue('reports', 'ben', 'a bad deploy')")
    client = client_of(settings, read_only=True)

    page = client.get("/settings")

    assert page.status_code == 200
    assert "a bad deploy" in page.text
    assert "Theme" in page.text
    assert all(name not in page.text for name in ("LEASE_MS", "DATABASE_URL", "127.0.0.1", "support-bundle"))
    assert 'href="/settings"' in client.get("/").text


def _call(client: FlaskClient) -> Any:
    return client.application.extensions["mobvibe"].pool.call

"""What operators do leaves a row that says who, what and why."""

import re

from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from bridge.web.operators import REASON_MOST
from tests.support.rows import Rows
from tests.support.web import client_of


def token(client: FlaskClient, path: str) -> str:
    found = re.search('name="csrf" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def test_the_password_of_a_proxy_neither_replaces_the_token_of_a_form_nor_acts(settings: Settings, rows: Rows) -> None:
    client = client_of(settings)
    job_id = rows.add_job()
    by_proxy = {"Authorization": "Basic YTpi"}  # which a browser sends for forms of foreign pages, too

    foreign = client.post(f"/jobs/{job_id}/cancel", headers=by_proxy)
    own = client.post(f"/jobs/{job_id}/cancel", headers=by_proxy, data={"csrf": token(client, f"/jobs/{job_id}")})

    assert (foreign.status_code, own.status_code) == (403, 302)
    assert rows.value("SELECT done_by FROM job_audit") == "dashboard"


def test_who_acts_is_the_name_of_the_login(settings: Settings, rows: Rows) -> None:
    client = client_of(settings, dashboard_password=SecretStr("password"), dashboard_user="ada")
    client.post("/login", data={"user": "ada", "password": "password", "csrf": token(client, "/login")})
    job_id = rows.add_job()
    reason = "too many\x00" + "!" * REASON_MOST

    client.post(f"/jobs/{job_id}/cancel", data={"csrf": token(client, f"/jobs/{job_id}"), "reason": reason})

    found = rows.all("SELECT action, done_by, reason FROM job_audit")
    assert found == [{"action": "cancel", "done_by": "ada", "reason": ("too many" + "!" * REASON_MOST)[:REASON_MOST]}]

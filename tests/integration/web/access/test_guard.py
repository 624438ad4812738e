"""Pages ask for a login, changes for a token; probes, metrics and the API do not.

Rows of docs/reference/security.md: S15, S16.
"""

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from tests.support.web import client_of

PAGES = ["/", "/stats", "/jobs", "/dead", "/bulk", "/workers", "/live.json", "/api/history"]


@pytest.fixture
def closed(settings: Settings) -> FlaskClient:
    return client_of(settings, node_env="production", supabase_service_role_key=SecretStr("the key"))


@pytest.fixture
def guarded(settings: Settings) -> FlaskClient:
    return client_of(settings, dashboard_password=SecretStr("correct horse"), node_env="production")


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_closed_in_production_without_a_password(closed: FlaskClient, path: str) -> None:
    refused = closed.get(path)
    admitted = closed.get(path, headers={"Authorization": "Bearer the key"})

    assert refused.status_code == 403
    assert "set DASHBOARD_PASSWORD" in refused.text
    assert admitted.status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_a_browser_is_sent_to_the_login_and_a_script_is_told(guarded: FlaskClient, path: str) -> None:
    browser = guarded.get(path, headers={"Accept": "text/html"})
    script = guarded.get(path, headers={"Accept": "application/json"})

    assert browser.status_code == 302
    assert browser.headers["Location"].startswith("/login?next=")
    assert script.status_code == 401
    assert "Bearer" in script.text


def test_a_page_that_is_not_there_leads_to_others_only_who_may_see_them(closed: FlaskClient) -> None:
    stranger = closed.get("/nothing", headers={"Accept": "text/html"})
    admitted = closed.get("/nothing", headers={"Accept": "text/html", "Authorization": "Bearer the key"})

    assert (stranger.status_code, admitted.status_code) == (404, 404)
    assert "<nav" not in stranger.text
    assert "<nav" in admitted.text


@pytest.mark.parametrize(("path", "status"), [("/readyz", 200), ("/metrics", 200), ("/static/index.css", 200)])
def test_probes_metrics_and_assets_need_no_login(guarded: FlaskClient, path: str, status: int) -> None:
    with guarded.get(path) as answer:
        assert answer.status_code == status


def test_the_sessions_api_keeps_its_own_tokens(guarded: FlaskClient) -> None:
    assert guarded.get("/functions/v1/get-session-status").json == {
        "success": False, "error": "Invalid or expired token",
    }  # fmt: skip


def test_another_name_of_this_machine_is_refused(settings: Settings) -> None:
    assert client_of(settings).get("/", headers={"Host": "evil.example"}).status_code == 403

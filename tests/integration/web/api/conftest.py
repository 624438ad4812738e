"""A client of the API, and what the API says of itself."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from tests.integration.web.api.described import KEY
from tests.support.web import client_of


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    return client_of(
        settings, supabase_service_role_key=SecretStr("the-service-role-key"), dashboard_password=SecretStr("password")
    )


@pytest.fixture
def description(client: FlaskClient) -> dict[str, Any]:
    with client.get("/api/openapi.json", headers=KEY) as answer:
        return dict(answer.get_json())

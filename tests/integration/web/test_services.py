"""The state of the stores, which all pages share."""

from bridge.settings import Settings
from bridge.web.app import create_app
from tests.support.limited_role import LimitedRole, as_limited_role


def test_readiness_names_a_lack_of_connections(settings: Settings, role: LimitedRole) -> None:
    role.limit(0)
    client = create_app(as_limited_role(settings, role)).test_client()

    assert client.get("/readyz").json["checks"]["postgres"] == "Postgres has no connection free"  # type: ignore[index]

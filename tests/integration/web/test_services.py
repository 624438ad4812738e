"""What the pages share: the state of the stores."""

from bridge.settings import Settings
from bridge.web import create_app
from tests.support.small_role import SmallRole, small


def test_the_web_process_says_which_it_is(settings: Settings, role: SmallRole) -> None:
    role.limit(0)
    client = create_app(small(settings, role)).test_client()

    assert client.get("/readyz").json["checks"]["postgres"] == "Postgres has no connection free"  # type: ignore[index]

"""GET /live.json."""

from flask.testing import FlaskClient

from tests.support.rows import Rows


def test_the_state_is_sent_once_as_long_as_nothing_changes(client: FlaskClient, rows: Rows) -> None:
    rows.add_job(status="completed")
    first = client.get("/live.json")
    assert first.json is not None
    assert first.json["counts"]["completed"] == 1

    again = client.get("/live.json", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")

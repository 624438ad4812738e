"""The page of worker processes."""

from flask.testing import FlaskClient

from tests.support.steps import Steps


def test_live_and_stopped_workers_are_shown(client: FlaskClient, steps: Steps) -> None:
    assert "mobvibe worker" in client.get("/workers").text

    steps.add_worker(slots=7)
    steps.silence(steps.add_worker(slots=3))
    page = client.get("/workers").text

    assert "live" in page
    assert "silent" in page
    assert ">7<" in page

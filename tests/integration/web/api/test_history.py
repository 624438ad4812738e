"""GET /api/history."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from tests.integration.web.api.described import as_described
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.web import client_of


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    """As the pages' scripts ask: without a key."""
    return client_of(settings)


def test_the_history_of_a_range_and_of_a_queue(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    for queue in ("a", "a", "b"):
        rows.all(
            "INSERT INTO coding_jobs (queue, status, completed_at, created_at) VALUES (%s, 'completed',"
            " now() - interval '2 minutes', now() - interval '2 minutes')",
            [queue],
        )
    steps.queue.record_history()

    every, one = client.get("/api/history").json, client.get("/api/history?range=24h&queue=a").json

    assert every is not None
    assert one is not None
    assert (every["range"], every["step_seconds"], len(every["times"])) == ("1h", 60, 60)
    assert (one["range"], one["step_seconds"], len(one["times"])) == ("24h", 600, 144)
    assert [found["totals"]["counts"]["completed"] for found in (every, one)] == [3, 2]
    assert sum(filter(None, every["counts"]["inserted"])) == 3


def test_an_answer_is_as_the_file_of_the_api_says(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    rows.add_job()
    steps.complete(steps.started())
    steps.queue.record_history()
    rows.all(
        "INSERT INTO latency_history SELECT 60, at, 'coding', 'hand_over', 6, 1 FROM queue_history WHERE inserted > 0"
    )
    with client.get("/api/openapi.json") as file:
        description: Any = file.json

    for answer in (client.get("/api/history?queue=coding"), client.get("/api/history?range=1y")):
        as_described(answer, description, "/api/history")


def test_an_unchanged_history_is_not_sent_again(client: FlaskClient) -> None:
    etag = client.get("/api/history").headers["ETag"]

    answer = client.get("/api/history", headers={"If-None-Match": etag})

    assert (answer.status_code, answer.data) == (304, b"")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("range=2h", "range must be one of 1h, 24h, 30d"),
        ("queue=%00", "queue must be the name of a queue"),
        ("queue=", "queue must be"),
    ],
)
def test_a_wrong_question_is_told_so(client: FlaskClient, query: str, said: str) -> None:
    answer = client.get(f"/api/history?{query}")

    assert answer.status_code == 400
    assert said in answer.text


def test_it_is_for_who_may_see_the_pages(settings: Settings) -> None:
    closed = client_of(settings, node_env="production", dashboard_password=SecretStr("correct horse"))

    assert [closed.get(path).status_code for path in ("/api/history", "/live.json")] == [401, 401]


def test_postgres_away_is_said(cut_off: FlaskClient) -> None:
    assert cut_off.get("/api/history").status_code == 503

"""S29: a start request that is sent again with its Idempotency-Key gets the answer of the first, and starts nothing.

Rows of docs/reference/security.md: S29.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from bridge.dispatch.upkeep import Upkeep
from bridge.settings import Settings
from bridge.web.tokens import make_token
from tests.integration.web.api.described import as_described
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually
from tests.support.web import SECRET, WebProcess, client_of

USER, PROJECT = uuid4(), uuid4()
START = "/functions/v1/start-coding-session"


def body(prompt: str = "Build a page that says hello", project: UUID = PROJECT) -> bytes:
    return json.dumps({"projectId": str(project), "prompt": prompt}).encode()


def start(client: FlaskClient, key: str | None = "a-key", user: UUID = USER, data: bytes | None = None) -> Any:
    headers = {"Authorization": f"Bearer {make_token(user, SECRET, timedelta(minutes=5))}"}
    return client.post(START, data=data or body(), headers=headers | ({} if key is None else {"Idempotency-Key": key}))


def jobs(rows: Rows) -> int:
    return int(rows.value("SELECT count(*) FROM coding_jobs"))


def test_the_same_request_again_gets_the_same_answer_and_starts_nothing(client: FlaskClient, rows: Rows) -> None:
    first = start(client)
    rows.all("UPDATE coding_sessions SET status = 'completed', expires_at = now()")
    again = start(client, data=body().replace(b": ", b":  "))  # the same request in another spelling

    with client.get("/api/openapi.json") as described:
        as_described(first, described.json or {}, START, "post")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data
    assert jobs(rows) == rows.value("SELECT count(*) FROM coding_sessions") == 1


def test_without_a_key_with_another_and_of_another_user_each_starts_one(client: FlaskClient, rows: Rows) -> None:
    answers = [start(client, None), start(client, None), start(client), start(client, "b"), start(client, user=uuid4())]

    assert [answer.status_code for answer in answers] == [201] * 5
    assert len({answer.json["data"]["jobId"] for answer in answers}) == jobs(rows) == 5


@pytest.mark.parametrize(
    "other", [body("Build another page, please"), body(project=uuid4())], ids=["prompt", "project"]
)
def test_a_key_that_was_used_for_another_request_is_refused(client: FlaskClient, rows: Rows, other: bytes) -> None:
    start(client)
    answer = start(client, data=other)

    with client.get("/api/openapi.json") as described:
        as_described(answer, described.json or {}, START, "post")
    assert (answer.status_code, answer.json["success"]) == (422, False)
    assert "used for another request" in answer.json["error"]
    assert jobs(rows) == 1


def with_repository(given: Any) -> bytes:
    return json.dumps({**json.loads(body()), "repository": given}).encode()


@pytest.mark.parametrize("given", [{"url": "https://github.com/a/b"}, {"url": "https://github.com/a/b", "branch": "c"}])
def test_a_session_can_start_from_a_repository(client: FlaskClient, rows: Rows, given: dict[str, str]) -> None:
    answer = start(client, data=with_repository(given))

    assert (answer.status_code, rows.job(answer.json["data"]["jobId"])["payload"]) == (201, {"repository": given})
    assert start(client, data=with_repository(given)).data == answer.data
    for other in (body(), with_repository({"url": "https://github.com/a/c"}), with_repository(given | {"branch": "d"})):
        assert start(client, data=other).status_code == 422
    assert jobs(rows) == 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "must be an object with url"),
        ({"url": "https://github.com/a/b", "depth": 1}, "must be an object with url"),
        ({"url": "file:///etc/passwd"}, "address is not one such as"),
        ({"url": "https://user:geheim@github.com/a/b"}, "has a user or a token in it: remove that"),
        ({"url": "https://github.com/a/b", "branch": "--geheim"}, "branch has a name that cannot be cloned"),
    ],
)
def test_another_repository_is_refused_and_not_repeated(
    client: FlaskClient, rows: Rows, given: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = start(client, data=with_repository(given))

    assert (answer.status_code, jobs(rows)) == (422, 0)
    assert answer.json["error"].startswith("Invalid repository: ")
    assert reason in answer.json["error"]
    assert "geheim" not in answer.text + caplog.text


def test_requests_at_the_same_time_start_one(client: FlaskClient, rows: Rows) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: start(client.application.test_client()), range(16)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.data for answer in answers}) == 1
    assert jobs(rows) == 1


def test_a_request_whose_answer_was_lost_in_a_crash_is_answered_by_the_next_process(
    dsn: str, redis_url: str, tmp_path: Path, rows: Rows
) -> None:
    token = make_token(USER, SECRET, timedelta(minutes=5))
    head = f"POST {START} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: a-key\r\n"
    request = head.encode() + f"Content-Length: {len(body())}\r\n\r\n".encode() + body()
    web = WebProcess(dsn, redis_url, SECRET, tmp_path)
    with web.connect() as connection:
        connection.sendall(request)
        eventually(lambda: jobs(rows) == 1, what="a committed job")
        web.kill()
    web = WebProcess(dsn, redis_url, SECRET, tmp_path)
    try:
        status, answer = web.say(request)
    finally:
        web.end()

    assert status == 201
    assert json.loads(answer)["data"]["jobId"] == str(rows.value("SELECT id FROM coding_jobs"))


def test_what_was_refused_keeps_no_key(settings: Settings, rows: Rows) -> None:
    client = client_of(settings, open_sessions_per_user=1)
    start(client, None)
    assert start(client).status_code == 429
    rows.all("UPDATE coding_sessions SET status = 'completed'")

    assert start(client).status_code == 201
    assert start(client).status_code == 201, "it takes no place of its own"
    assert jobs(rows) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "é", "a\x7f"])
def test_a_malformed_key_is_refused(client: FlaskClient, rows: Rows, key: str) -> None:
    answer = start(client, key)

    assert answer.status_code == 400
    assert answer.json["error"].startswith("Idempotency-Key must have 1 to 255")
    assert jobs(rows) == 0


@pytest.mark.parametrize("key", ["x" * 255, '"quoted"', "';--", "~!", "%00"])
def test_any_other_key_is_taken(client: FlaskClient, rows: Rows, key: str) -> None:
    assert start(client, key).data == start(client, key).data
    assert jobs(rows) == 1


def test_a_key_holds_for_a_day_and_is_then_deleted(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    start(client, "old")
    rows.all("UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'")
    assert start(client, "old").status_code == 201
    assert jobs(rows) == 1

    rows.all("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second'")
    assert start(client, "old", data=body("Build another page, please")).status_code == 201
    assert jobs(rows) == 2, "the same key on the next day is another request"

    rows.all(
        "INSERT INTO idempotency_keys (user_id, key, request_hash, answer, created_at)"
        " SELECT gen_random_uuid(), n, '', '{}', now() - interval '25 hours' FROM generate_series(1, 2500) AS n"
    )
    Upkeep(steps.queue, retention=None).step()
    assert rows.value("SELECT array_agg(key) FROM idempotency_keys") == ["old"]


def test_a_database_of_the_version_before_starts_sessions_without_keys(client: FlaskClient, rows: Rows) -> None:
    rows.all("ALTER TABLE idempotency_keys RENAME TO not_yet")
    try:
        assert start(client, None).status_code == 201
        assert start(client).status_code == 503
        assert jobs(rows) == 1
    finally:
        rows.all("ALTER TABLE not_yet RENAME TO idempotency_keys")


def test_a_browser_of_another_origin_may_send_the_key(client: FlaskClient) -> None:
    allowed = client.options(START).headers["Access-Control-Allow-Headers"]

    assert "idempotency-key" in allowed.split(", ")

"""S5: users' tokens of keys that the project publishes, with a real web process and an endpoint that fails.

Rows of docs/reference/security.md: S5.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.support.jwks_server import JwksServer, SigningKey
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.support.web import EventStream, WebProcess

KEY, STRANGER = SigningKey("now"), SigningKey("now")
USER = uuid4()
SOON = 1.5  # seconds: an answer that waits for no endpoint


@pytest.fixture
def server() -> Iterator[JwksServer]:
    server = JwksServer(KEY)
    yield server
    server.close()


def started(dsn: str, redis_url: str, folder: Path, server: JwksServer) -> WebProcess:
    return WebProcess(dsn, redis_url, "", folder, SUPABASE_URL=server.base)


def start(web: WebProcess, token: str) -> tuple[int, bytes]:
    body = json.dumps({"projectId": str(uuid4()), "prompt": "Build a page that says hello"}).encode()
    head = f"POST /functions/v1/start-coding-session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    return web.say(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def follow(web: WebProcess, token: str, session: UUID) -> EventStream:
    stream = EventStream(web, f"/sessions/{session}/events", f"Authorization: Bearer {token}\r\n".encode())
    stream.close()
    return stream


def test_a_token_of_a_published_key_opens_what_is_its_users(
    dsn: str, redis_url: str, tmp_path: Path, rows: Rows, server: JwksServer
) -> None:
    web = started(dsn, redis_url, tmp_path, server)
    try:
        eventually(lambda: start(web, KEY.token(USER))[0] == 201, what="a session that has started")
        session = rows.value("SELECT id FROM coding_sessions WHERE user_id = %s", [USER])

        assert follow(web, KEY.token(USER), session).status == 200
        assert follow(web, KEY.token(uuid4()), session).status == 404
        assert start(web, STRANGER.token(USER))[0] == follow(web, STRANGER.token(USER), session).status == 401
        assert server.requests == ["/auth/v1/.well-known/jwks.json"]
    finally:
        web.end()


def test_nobody_waits_for_an_endpoint_that_is_slow_and_nothing_opens(
    dsn: str, redis_url: str, tmp_path: Path, rows: Rows, server: JwksServer
) -> None:
    session = rows.add_session(user_id=USER)
    server.seconds = 30
    web = started(dsn, redis_url, tmp_path, server)
    try:
        for _ in range(30):  # more than there are threads for pages
            begun = time.monotonic()
            stream = follow(web, KEY.token(USER), session)
            assert (stream.status, start(web, KEY.token(USER))[0]) == (503, 503)
            assert "retry-after: " in stream.head.lower()
            assert web.say(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
            assert web.say(b"GET /workers HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200
            assert time.monotonic() - begun < SOON
        eventually(lambda: "cannot be read from SUPABASE_JWKS_URL" in web.log, what="a line in the log")

        assert follow(web, KEY.token(USER), session).status == 503
        assert start(web, STRANGER.token(USER))[0] == 503
        assert (len(server.requests), server.at_once_most) == (1, 1)
        assert rows.all("SELECT FROM coding_jobs") == []
    finally:
        web.end()

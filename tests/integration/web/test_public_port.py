"""With ADMIN_PORT the public port answers probes and users' sessions, and no page, figure or form."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from uuid import UUID

import pytest
from werkzeug.routing import Map

from bridge.settings import Settings
from bridge.web.app import create_app
from tests.support.web import SECRET, EventStream, WebProcess, bearer

NOBODY = UUID(int=0)
FOR_USERS = {"readyz", "sessions", "session_archive", "session_turns"}  # blueprints


@pytest.fixture(scope="module")
def admin_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def password() -> str:
    return ""


@pytest.fixture
def web(dsn: str, redis_url: str, tmp_path: Path, admin_port: int, password: str) -> Iterator[WebProcess]:
    web = WebProcess(
        dsn, redis_url, SECRET, tmp_path,
        ADMIN_PORT=str(admin_port), PATH_PREFIX="/mobvibe", DASHBOARD_PASSWORD=password,
    )  # fmt: skip
    yield web
    web.end()


def get(port: int, path: str, host: str = "localhost", method: str = "GET") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection):
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def paths(rules: Map) -> dict[str, str]:
    """An example of each path of the pages, with the blueprint that answers it."""
    return {re.sub(r"<[^>]+>", str(NOBODY), rule.rule): rule.endpoint.split(".")[0] for rule in rules.iter_rules()}


def test_each_path_is_answered_at_the_public_port_only_if_it_is_for_users(
    web: WebProcess, admin_port: int, settings: Settings
) -> None:
    public = web.address[1]
    others = {
        path: get(public, path) for path, of in paths(create_app(settings).url_map).items() if of not in FOR_USERS
    }

    assert len(others) > 30
    assert {path: answer for path, answer in others.items() if answer[0] != 404 or "Not found" not in answer[1]} == {}
    for path in ("/stats", "/metrics", "/", "/jobs", "/live.json", "/static/index.css"):
        assert get(public, path)[0] == get(public, "/mobvibe" + path)[0] == 404
        assert get(admin_port, path)[0] == 200


@pytest.mark.parametrize("password", ["correct horse"])  # who has no token gets no 404
def test_users_find_all_of_theirs_at_both_ports(web: WebProcess, admin_port: int, settings: Settings) -> None:
    theirs = [path for path, of in paths(create_app(settings).url_map).items() if of in FOR_USERS]

    assert len(theirs) > 8
    for path in [*theirs, f"/sessions/{NOBODY}/events", "/livez", "/health", "/readyz"]:
        for port in (web.address[1], admin_port):
            status, text = get(port, path, method="OPTIONS" if path.startswith("/functions") else "GET")
            assert "Not found" not in text, path
            assert status in (200, 204, 401, 403), path
    asked = b"GET /functions/v1/get-session-status?sessionId=" + str(NOBODY).encode()
    assert b"not found" in web.say(asked + b" HTTP/1.1\r\nHost: x\r\n" + bearer() + b"\r\n")[1]


def test_no_spelling_of_a_path_or_a_host_leads_to_a_page(web: WebProcess, admin_port: int) -> None:
    for path in (
        "//stats", "/livez/../stats", "/functions/v1/../../stats", "/functions/v1/%2e%2e/stats", "/sessions/a/b/events",
        "/mobvibe/mobvibe/stats", "/mobvibestats", "/STATS", "/stats%0a/livez", "/livez%0a", "http://x:1/stats",
    ):  # fmt: skip
        assert get(web.address[1], path)[0] == 404, path
    assert get(web.address[1], "/stats", host=f"localhost:{admin_port}")[0] == 404


def test_streams_of_the_pages_are_at_their_port_and_end_at_a_stop(web: WebProcess, admin_port: int) -> None:
    public = web.address
    web.address = (public[0], admin_port)
    stream = EventStream(web, "/live")
    assert stream.status == 200

    web.end()
    stream.close()

    assert web.is_alive is False
    assert get_refused(admin_port)
    assert get_refused(public[1])
    assert "Traceback" not in web.log
    ports = [json.loads(line).get("admin_port") for line in web.log.splitlines()]
    assert [port for port in ports if port] == [admin_port]


def get_refused(port: int) -> bool:
    try:
        get(port, "/livez")
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(("admin_host", "status"), [("127.0.0.1", 200), ("0.0.0.0", 403)])  # noqa: S104
def test_pages_without_a_password_are_open_by_where_they_listen(
    dsn: str, redis_url: str, tmp_path: Path, admin_port: int, admin_host: str, status: int
) -> None:
    public_host = {"127.0.0.1": "0.0.0.0", "0.0.0.0": "127.0.0.1"}[admin_host]  # noqa: S104
    web = WebProcess(
        dsn, redis_url, SECRET, tmp_path, public_host, ADMIN_PORT=str(admin_port), ADMIN_BIND_HOST=admin_host
    )  # fmt: skip
    try:
        assert get(admin_port, "/stats")[0] == status
        assert get(web.address[1], "/stats")[0] == 404
    finally:
        web.end()


def test_nobody_follows_a_session_at_the_public_port_by_a_host_header(
    dsn: str, redis_url: str, tmp_path: Path, admin_port: int
) -> None:
    web = WebProcess(
        dsn, redis_url, SECRET, tmp_path, "0.0.0.0", ADMIN_PORT=str(admin_port), ADMIN_BIND_HOST="127.0.0.1"  # noqa: S104
    )  # fmt: skip
    try:
        for path in (f"/sessions/{NOBODY}/events", f"/sessions/{NOBODY}/archive"):
            assert (get(web.address[1], path)[0], get(admin_port, path)[0]) == (401, 404), path
    finally:
        web.end()

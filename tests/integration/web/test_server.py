"""The web process as clients meet it that speak HTTP badly, slowly or not at all."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from bridge.errors import PortTakenError
from bridge.web.server import THREADS, check_port
from bridge.web.tokens import make_token
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.support.web import WebProcess

REQUEST_SECONDS = 3.0
SECRET = "a-secret-of-this-test-that-is-long-enough"
START = b"POST /functions/v1/start-coding-session HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def web(dsn: str, redis_url: str, tmp_path: Path) -> Iterator[WebProcess]:
    web = WebProcess(dsn, redis_url, SECRET, tmp_path, request_seconds=REQUEST_SECONDS)
    yield web
    web.end()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def bearer(user: UUID | None = None) -> bytes:
    return f"Authorization: Bearer {make_token(user or uuid4(), SECRET, timedelta(minutes=5))}\r\n".encode()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (lambda: b"GARBAGE\r\n\r\n", 400),
        (lambda: b"GET /health\r\n\r\n", 400),
        (lambda: b"GET /health HTTP/9.9\r\n\r\n", 400),
        (lambda: b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (lambda: b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (lambda: b"GET /health HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417),
        (lambda: START + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (lambda: START + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (lambda: START + bearer() + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n", 400),
        (lambda: START + bearer() + b"Content-Length: 70000\r\n\r\n" + b" " * 70_000, 413),
        (
            lambda: START + bearer() + b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n%b\r\n" % (b" " * 0x4000) * 9,
            413,
        ),
    ],
)
def test_what_is_no_good_request_is_refused_in_json(web: WebProcess, sent: Callable[[], bytes], status: int) -> None:
    answered, body = web.say(sent())

    assert (answered, json.loads(body)["success"]) == (status, False)
    assert "Traceback" not in web.log


def test_one_request_cannot_take_more_threads_than_time(web: WebProcess) -> None:
    """More half requests than threads, some of them fed a byte now and then: others are served all the same."""
    stop = threading.Event()
    held = [web.connect() for _ in range(THREADS + 4)]
    halves = (b"GET /health HT", START + bearer() + b"Content-Length: 100\r\n\r\n{", b"\x16\x03\x01")
    for n, connection in enumerate(held):
        connection.sendall(halves[n % 3])

    def trickle() -> None:
        while not stop.wait(1.0):
            for connection in held[:6]:
                try:
                    connection.sendall(b" ")
                except OSError:
                    continue

    feeder = threading.Thread(target=trickle)
    feeder.start()
    try:
        began = time.monotonic()
        status, _ = web.say(
            b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", seconds=REQUEST_SECONDS + 10
        )
        assert status == 200
        assert time.monotonic() - began < REQUEST_SECONDS + 5
        held[1].settimeout(REQUEST_SECONDS + 5)
        assert held[1].recv(100).startswith(b"HTTP/1.1 408 ")
    finally:
        stop.set()
        feeder.join(5)
        for connection in held:
            connection.close()
    assert "Traceback" not in web.log


def test_a_request_is_answered_once_though_its_body_never_comes(web: WebProcess) -> None:
    with web.connect() as connection:
        connection.sendall(START + b"Content-Length: 9\r\n\r\n")
        connection.settimeout(REQUEST_SECONDS + 5)
        said = b""
        while chunk := connection.recv(65536):
            said += chunk

    assert said.startswith(b"HTTP/1.1 401 ")
    assert said.count(b"HTTP/1.1 ") == 1


def test_a_client_that_does_not_take_its_answer_is_let_go(web: WebProcess, rows: Rows) -> None:
    user = uuid4()
    session = rows.add_session(user_id=user)
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data)"
        " SELECT %s, 'terminal', jsonb_build_object('text', repeat('x', 8000)) FROM generate_series(1, 1000)",
        [session],
    )
    head = b"GET /functions/v1/get-session-status?sessionId=%b HTTP/1.1\r\nHost: x\r\n" % str(session).encode()
    held = [socket.socket() for _ in range(THREADS)]
    for connection in held:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(web.address)
        connection.sendall(head + bearer(user) + b"\r\n")
    eventually(
        lambda: all(len(connection.recv(2048, socket.MSG_PEEK)) > 1000 for connection in held), seconds=60,
        what="answers that have begun",
    )  # fmt: skip

    status, _ = web.say(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", seconds=REQUEST_SECONDS + 10)

    for connection in held:
        connection.close()
    assert status == 200
    assert "Traceback" not in web.log


def test_a_privileged_port_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("bridge.web.server.socket.socket.bind", refuse)

    with pytest.raises(PortTakenError, match="Port 80 needs rights we do not have. Set HEALTH_CHECK_PORT"):
        check_port("127.0.0.1", 80)


def test_probes_are_answered_before_a_silent_postgres_is(redis_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts, port = ",".join(["127.0.0.1"] * 4), silent.getsockname()[1]  # 5 s each
        began = time.monotonic()
        web = WebProcess(f"postgresql://{hosts}/d?port={port}", redis_url, SECRET, tmp_path)
        try:
            assert web.say(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == 200
            assert time.monotonic() - began < 15
        finally:
            web.end()


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_an_ipv6_address_can_be_listened_on(dsn: str, redis_url: str, tmp_path: Path) -> None:
    web = WebProcess(dsn, redis_url, SECRET, tmp_path, host="::1")
    try:
        assert web.say(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == 200
    finally:
        web.end()

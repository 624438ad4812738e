"""The web process and clients that speak HTTP badly, slowly or not at all."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.errors import PortTakenError
from bridge.web.server import check_port
from tests.support.web import SECRET, WebProcess, bearer

START = b"POST /functions/v1/start-coding-session HTTP/1.1\r\nHost: x\r\n"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


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
def test_an_invalid_request_is_refused_in_json(web: WebProcess, sent: Callable[[], bytes], status: int) -> None:
    answered, body = web.say(sent())

    assert (answered, json.loads(body)["success"]) == (status, False)
    assert "Traceback" not in web.log


def test_a_privileged_port_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("bridge.web.server.socket.socket.bind", refuse)

    with pytest.raises(PortTakenError, match="Port 80 needs rights we do not have. Set HEALTH_CHECK_PORT"):
        check_port("127.0.0.1", 80)


def test_probes_are_answered_while_postgres_is_silent(redis_url: str, tmp_path: Path) -> None:
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

"""The web process: where it listens, and what it answers while Postgres is silent."""

import socket
import time
from pathlib import Path

import pytest

from bridge.errors import PortTakenError
from bridge.web.server import check_port
from tests.support.web import SECRET, WebProcess


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


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

"""The web process: where it listens, and what it answers while Postgres is silent."""

import socket
import time
from pathlib import Path

import pytest

from tests.support.commands import mobvibe
from tests.support.web import SECRET, WebProcess


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


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


def test_an_address_that_a_platforms_router_cannot_reach_is_one_warning(
    dsn: str, redis_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    web = WebProcess(dsn, redis_url, SECRET, tmp_path, DYNO="web.1", PORT=str(port))
    try:
        assert web.log.count("BIND_HOST is 127.0.0.1: the router of this platform cannot reach it") == 1
        assert f'"port":{port}' in web.log, "and not HEALTH_CHECK_PORT"
        given = {
            "DATABASE_URL": dsn,
            "REDIS_URL": redis_url,
            "DYNO": "web.1",
            "PORT": str(port),
            "HEALTH_CHECK_PORT": "9",
        }
        assert mobvibe("healthcheck", "live", cwd=tmp_path, **given).code == 0, "it asks at the same port"
    finally:
        web.end()

"""Servers that tests start leave a port that something else took before they had it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bridge.dev.embedded import server as module
from bridge.dev.embedded.server import HOST, pick_port
from tests.conftest import Servers
from tests.support import redis_servers
from tests.support.pgbouncer import pgbouncer, skip_without_pgbouncer
from tests.support.tls_postgres import tls_postgres


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of the second try. The first one is taken, by somebody who does not answer there."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        free = pick_port()
        ports = iter([other.getsockname()[1], free])
        monkeypatch.setattr(module, "pick_port", lambda _: next(ports))
        yield free


def test_redis(tmp_path: Path, free: int) -> None:
    with redis_servers.server(tmp_path) as port:
        assert port == free
        assert redis_servers.answers(port)


def test_pgbouncer(tmp_path_factory: pytest.TempPathFactory, servers: Servers, free: int) -> None:
    skip_without_pgbouncer()
    with pgbouncer(tmp_path_factory.mktemp("pooler"), servers.postgres) as pooler:
        assert f":{free}/" in pooler.url("postgres")
        pooler.restart()
        assert f":{free}/" in pooler.url("postgres"), "its clients have the address"
        with psycopg.connect(pooler.url("postgres")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_postgres_with_tls(tmp_path_factory: pytest.TempPathFactory, free: int) -> None:
    with tls_postgres(tmp_path_factory.mktemp("tls") / "postgres") as server:
        assert server.port == free
        psycopg.connect(server.url("127.0.0.1", sslmode="require")).close()

"""Embedded Redis: it can be used with its address only, which has the password, and ends with its process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.dev.embedded.redis import EmbeddedRedis
from bridge.errors import RedisUnavailableError
from bridge.transport.client import check_redis, connect_redis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path)
    server.start()
    yield server
    server.stop()


def ping(url: str) -> None:
    with connect_redis(url) as client:
        check_redis(client)


def test_a_client_needs_the_password(server: EmbeddedRedis) -> None:
    ping(server.url)
    with pytest.raises(RedisUnavailableError):
        ping(f"redis://{server.url.rpartition('@')[2]}")

    server.stop()

    assert not server.is_running()
    with pytest.raises(RedisUnavailableError):
        ping(server.url)

from collections.abc import Iterator

import pytest
import redis

from bridge.transport.client import connect_redis


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect_redis(redis_url) as client:
        yield client

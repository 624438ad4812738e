"""Publisher and broker over one fakeredis."""

from collections.abc import Iterator

import fakeredis
import pytest
import redis

from bridge.transport.job_broker import JobBroker
from bridge.transport.publisher import Publisher


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def client(server: fakeredis.FakeServer) -> Iterator[redis.Redis]:
    client: redis.Redis = fakeredis.FakeRedis(server=server)
    yield client
    client.close()


@pytest.fixture
def broker(client: redis.Redis) -> Iterator[JobBroker]:
    broker = JobBroker(client, middleware=[])
    broker.declare_queue("coding")
    yield broker
    broker.close()


@pytest.fixture
def publisher(client: redis.Redis) -> Publisher:
    return Publisher(client, "mobvibe")

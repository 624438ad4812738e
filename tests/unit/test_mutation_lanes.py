"""Parallel runs of the tests: none empties the Redis of another."""

import pytest
import redis

from tests.conftest import Servers
from tests.mutations.__main__ import redis_databases


def test_each_lane_has_a_redis_of_its_own() -> None:
    assert redis_databases("redis://:secret@127.0.0.1:6379/0", 3) == [
        f"redis://:secret@127.0.0.1:6379/{number}" for number in range(3)
    ]


def test_a_test_empties_its_own_redis_alone(servers: Servers, request: pytest.FixtureRequest) -> None:
    own, neighbours = redis_databases(servers.redis, 2)
    with redis.Redis.from_url(own) as mine, redis.Redis.from_url(neighbours) as theirs:
        mine.set("key", "mine")
        theirs.set("key", "theirs")

        assert request.getfixturevalue("redis_url") == servers.redis

        assert (mine.get("key"), theirs.get("key")) == (None, b"theirs")
        theirs.delete("key")

"""Runs of the tests on one Redis, each with a database of it: none empties that of another."""

import pytest
import redis

from tests.conftest import Servers


def test_a_test_empties_its_own_redis_alone(servers: Servers, request: pytest.FixtureRequest) -> None:
    with redis.Redis.from_url(servers.redis) as mine, redis.Redis.from_url(f"{servers.redis[:-1]}9") as theirs:
        mine.set("key", "mine")
        theirs.set("key", "theirs")

        assert request.getfixturevalue("redis_url") == servers.redis

        assert (mine.get("key"), theirs.get("key")) == (None, b"theirs")
        theirs.delete("key")

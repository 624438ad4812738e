"""A key of another type where the mark of a database should be."""

import pytest
import redis

from bridge.errors import WrongKeyError
from bridge.transport.database_mark import DatabaseMark


def test_the_mark_of_a_database(client: redis.Redis) -> None:
    client.rpush("mobvibe:__database__", "theirs")

    with pytest.raises(WrongKeyError, match=r"the key 'mobvibe:__database__' is no string; .*DEL mobvibe:__database__"):
        DatabaseMark(client, "mobvibe").take("id name")

"""The key of the database mark has another type."""

import pytest
import redis

from bridge.errors import WrongKeyError
from bridge.transport.database_mark import DatabaseMark


def test_a_mark_of_another_type_is_named(client: redis.Redis) -> None:
    client.rpush("mobvibe:__database__", "theirs")

    with pytest.raises(
        WrongKeyError, match=r"the key 'mobvibe:__database__' is not a string; .*DEL mobvibe:__database__"
    ):
        DatabaseMark(client, "mobvibe", "id name").take()

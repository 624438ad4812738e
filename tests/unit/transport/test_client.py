"""The client: what an address may be."""

import pytest

from bridge.errors import RedisUnavailableError
from bridge.transport.client import check_redis, connect_redis


def test_a_socket_of_this_machine_is_an_address_too() -> None:
    with pytest.raises(RedisUnavailableError, match="No such file"):
        check_redis(connect_redis("unix:///nowhere/redis.sock"))

"""The client: what an address may be."""

import pytest

from bridge.errors import RedisUnavailableError
from bridge.transport.client import check_redis, connect_redis


def test_a_unix_socket_is_a_valid_address() -> None:
    with pytest.raises(RedisUnavailableError, match="No such file"):
        check_redis(connect_redis("unix:///nowhere/redis.sock"))

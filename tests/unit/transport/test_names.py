"""Names of keys and channels: they differ between two databases of one Redis, and no two queues share a key."""

from typing import Any

import fakeredis
import pytest

from bridge.errors import SettingsError
from bridge.transport.job_broker import JobBroker


@pytest.mark.parametrize("name", ["__road__", "coding.msgs", "coding.XQ", "coding.DQ"])
def test_a_queue_that_would_collide_with_the_keys_of_another_is_refused(broker: JobBroker, name: str) -> None:
    with pytest.raises(SettingsError, match="would collide"):
        broker.declare_queue(name)


def test_channels_of_two_databases_of_one_redis_differ() -> None:
    def names(number: int) -> Any:
        return JobBroker(fakeredis.FakeRedis(db=number), middleware=[]).names

    assert (names(0).wake, names(0).freed) == ("mobvibe:__wake__", "mobvibe:__freed__")
    assert (names(3).wake, names(3).freed) == ("mobvibe:__wake__.3", "mobvibe:__freed__.3")

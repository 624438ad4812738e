"""The key of the epoch has another type."""

import pytest
import redis

from bridge.transport.epoch import RedisEpoch


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[str]:
    return [vars(record)["reason"] for record in caplog.records if record.message == message]


def test_without_its_epoch_key_losses_cannot_be_seen_which_is_logged_once(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.rpush("mobvibe:__road__", "theirs")
    epoch = RedisEpoch(client, "mobvibe")

    assert [epoch.has_changed() for _ in range(3)] == [False] * 3

    (reason,) = lines(caplog, "It cannot be seen whether Redis lost messages")
    assert "the key 'mobvibe:__road__' is not a string" in reason

"""Whether Redis lost messages, when its mark is a key of another type."""

import pytest
import redis

from bridge.transport.epoch import RoadMark


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[str]:
    return [vars(record)["reason"] for record in caplog.records if record.message == message]


def test_without_its_mark_losses_cannot_be_seen_and_it_says_so_once(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.rpush("mobvibe:__road__", "theirs")
    mark = RoadMark(client, "mobvibe")

    assert [mark.has_changed() for _ in range(3)] == [False] * 3

    (reason,) = lines(caplog, "It cannot be seen whether Redis lost messages")
    assert "the key 'mobvibe:__road__' is no string" in reason

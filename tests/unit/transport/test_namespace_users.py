"""What else is in our namespace: messages of others on our queues, their processes, and our own workers."""

import time

import pytest
import redis

from bridge.transport import namespace_users
from bridge.transport.namespace_users import Waiting, foreign_messages, foreign_processes, our_workers
from bridge.transport.publisher import Publisher
from tests.support.consuming import claims


def test_messages_of_others_are_distinguished_from_ours(client: redis.Redis, publisher: Publisher) -> None:
    publisher.publish(claims(3))
    assert foreign_messages(client, "mobvibe", "coding") is None

    client.rpush("mobvibe:coding", "theirs", "6f1c2d3e-aaaa-4bbb-8ccc-1234567890ab")

    assert foreign_messages(client, "mobvibe", "coding") == Waiting(2, is_all=True)


def test_a_scan_of_a_long_queue_is_bounded(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace_users, "_SCAN_MOST", 10)
    client.rpush("mobvibe:coding", *(f"theirs-{n}" for n in range(25)))

    assert foreign_messages(client, "mobvibe", "coding") == Waiting(10, is_all=False)


def test_only_processes_that_gave_a_sign_of_life_lately_count(client: redis.Redis) -> None:
    now = time.time() * 1000
    client.zadd("mobvibe:__heartbeats__", {"theirs": now, "mobvibe-ours": now, "long-gone": now - 600_000})

    assert foreign_processes(client, "mobvibe") == 1
    assert our_workers(client, "mobvibe") == ["mobvibe-ours"]

"""The broker over fakeredis: what Dramatiq's RedisBroker does, what we add, and what we refuse."""

from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Message, Worker

from bridge.transport.job_broker import JobBroker
from bridge.transport.wakeups import WakeUps
from tests.support.consuming import consume
from tests.support.waiting import eventually


def test_a_delay_is_refused_and_the_error_says_what_to_use_instead(broker: JobBroker) -> None:
    message: Message[Any] = Message("coding", "run", (), {}, {})
    with pytest.raises(ValueError, match="insert the job with run_at"):
        broker.enqueue(message, delay=1000)


def test_no_delay_queue_is_declared(broker: JobBroker) -> None:
    assert broker.get_declared_queues() == {"coding"}
    assert broker.get_declared_delay_queues() == set()


def test_dramatiqs_own_worker_runs_on_it(broker: JobBroker) -> None:
    done: list[int] = []

    @dramatiq.actor(broker=broker, queue_name="coding")
    def add(n: int) -> None:
        done.append(n)

    worker = Worker(broker, worker_threads=4, worker_timeout=50)
    worker.start()
    for n in range(100):
        add.send(n)
    broker.join("coding", timeout=10_000)
    worker.stop()

    assert sorted(done) == list(range(100))


def test_a_message_for_an_unknown_actor_is_dead_lettered(broker: JobBroker, client: redis.Redis) -> None:
    worker = Worker(broker, worker_threads=1, worker_timeout=50)
    worker.start()
    broker.enqueue(Message("coding", "nobody", (), {}, {}))

    eventually(lambda: client.zcard("mobvibe:coding.XQ") == 1)
    worker.stop()


def test_bridges_receive_messages_about_freed_slots(broker: JobBroker, client: redis.Redis) -> None:
    received: list[str | None] = []
    wakeups = WakeUps(client, "mobvibe:__freed__", received.append)
    wakeups.start()
    assert wakeups.subscribed.wait(5)

    broker.announce_freed({"coding": (2, 7)})

    eventually(lambda: received[-1] == '{"settled": {"coding": [2, 7]}, "queues": []}')
    assert received[0] is None  # subscribed: something may have been missed before
    wakeups.close()


def test_freed_slots_are_sent_once_to_a_redis_that_does_not_answer(
    broker: JobBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def no_answer(channel: str, _message: str) -> None:
        asked.append(channel)
        raise redis.TimeoutError("no answer")

    monkeypatch.setattr(client, "publish", no_answer)
    for _ in range(3):
        broker.announce_freed({"coding": (1, 5)})
    assert len(asked) == 1

    assert next(consume(broker)) is None  # it answers again
    broker.announce_freed({"coding": (1, 5)})
    assert len(asked) == 2

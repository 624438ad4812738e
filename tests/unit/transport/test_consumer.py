"""The consumer over fakeredis: what it takes, puts aside, gives back and acknowledges."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import fakeredis
import pytest
import redis
from dramatiq.broker import MessageProxy

from bridge.errors import BadMessageError, RedisUnavailableError
from bridge.job import Claim
from bridge.transport.consumer import POLL_SECONDS, JobConsumer
from bridge.transport.intake import JobMessage, PlainIntake
from bridge.transport.job_broker import JobBroker
from bridge.transport.messages import seal
from bridge.transport.publisher import Publisher
from tests.support.consuming import claims, consume, ids, take
from tests.support.waiting import eventually


class Refusing(PlainIntake):
    def open(self, data: bytes, queue_name: str, redis_id: str) -> list[JobMessage]:
        raise BadMessageError("undecodable")


def test_no_more_is_taken_than_the_prefetch(publisher: Publisher, broker: JobBroker, client: redis.Redis) -> None:
    publisher.publish(claims(5))
    consumer = consume(broker, prefetch=2)
    taken = take(consumer, 2)
    assert [next(consumer) for _ in range(3)] == [None, None, None]
    assert client.llen("mobvibe:coding") == 3

    consumer.ack(taken[0])

    take(consumer, 1)
    assert client.llen("mobvibe:coding") == 2


def test_a_message_of_several_jobs_counts_for_all_of_them(publisher: Publisher, broker: JobBroker) -> None:
    publisher.publish(claims(9), {"coding": 3})

    taken = [broker.exchange("coding", limit, [])[1::2] for limit in (3, 4)]

    assert [len(one) for one in taken] == [1, 2], "the last one taken may bring more than was asked for"


def test_jobs_that_run_alone_and_stand_together_go_to_one_process(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    first, *line, last = claims(5)
    line = [replace(claim, isolated=True) for claim in line]
    publisher.publish([first, *line, last])
    consumer = consume(broker, prefetch=2)

    assert ids(take(consumer, 4)) == [str(claim.job_id) for claim in (first, *line)]
    assert next(consumer) is None
    assert client.llen("mobvibe:coding") == 1


def test_a_message_that_is_done_is_forgotten(publisher: Publisher, broker: JobBroker, client: redis.Redis) -> None:
    publisher.publish(claims(3))
    consumer = consume(broker)
    for message in take(consumer, 3):
        consumer.ack(message)

    eventually(lambda: next(consumer) is None and client.hlen("mobvibe:coding.msgs") == 0)

    assert client.keys("mobvibe:__acks__*") == []


def test_a_late_acknowledgement_of_a_message_given_to_another_changes_nothing(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    publisher.publish(claims(1))
    consumer = consume(broker)
    (message,) = take(consumer, 1)
    client.delete(f"mobvibe:__acks__.{broker.broker_id}.coding")  # taken from us, as maintenance does

    consumer.ack(message)
    next(consumer)

    assert client.hlen("mobvibe:coding.msgs") == 1


def test_an_idle_consumer_is_woken_by_a_publish(publisher: Publisher, broker: JobBroker) -> None:
    # It rests an hour unless woken: only the wake-up can bring the message in time.
    consumer = broker.consume("coding", prefetch=1, timeout=3_600_000)
    assert isinstance(consumer, JobConsumer)
    assert broker._wakeups is not None
    assert broker._wakeups.subscribed.wait(5)
    got: list[MessageProxy] = []

    def wait_for_one() -> None:
        while not got:
            got.extend(message for message in [next(consumer)] if message is not None)

    thread = threading.Thread(target=wait_for_one, daemon=True)
    thread.start()
    eventually(lambda: consumer._next_poll > 0 and not consumer._wake.is_set(), what="a consumer that has looked")

    publisher.publish(claims(1))

    thread.join(10)
    assert len(got) == 1


def test_an_undecodable_message_is_put_aside_once_and_the_others_live(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    refused: list[str] = []

    class Choosy(PlainIntake):
        def open(self, data: bytes, queue_name: str, redis_id: str) -> list[JobMessage]:
            if data == b"junk":
                raise BadMessageError("undecodable")
            return super().open(data, queue_name, redis_id)

        def refused(self, error: BadMessageError, data: bytes) -> None:
            refused.append(error.reason)

    broker.intake = Choosy()
    client.hset("mobvibe:coding.msgs", "bad", "junk")
    client.rpush("mobvibe:coding", "bad", "no payload at all")
    publisher.publish(claims(2))

    assert len(take(consume(broker), 2)) == 2

    assert refused == ["undecodable"]
    assert client.hgetall("mobvibe:coding.XQ.msgs") == {b"bad": b"junk"}
    assert client.llen("mobvibe:coding") == 0


class OneGood(PlainIntake):
    """Refuses what is junk, and starts what is good."""

    def open(self, data: bytes, queue_name: str, redis_id: str) -> list[JobMessage]:
        if data == b"junk":
            raise BadMessageError("undecodable")
        return super().open(data, queue_name, redis_id)

    def start(self, messages: Sequence[JobMessage]) -> tuple[list[JobMessage], list[JobMessage]]:
        return [message for message in messages if message.actor_name == "good"], []


@pytest.mark.parametrize("kind", ["refused", "not ours", "without a payload"])
def test_junk_does_not_hold_up_what_stands_behind_it(
    publisher: Publisher, broker: JobBroker, client: redis.Redis, kind: str
) -> None:
    broker.intake = OneGood()
    if kind == "not ours":
        publisher.publish(claims(100))
    else:
        names = [f"bad-{n}" for n in range(100)]
        client.rpush("mobvibe:coding", *names)
        if kind == "refused":
            client.hset("mobvibe:coding.msgs", mapping=dict.fromkeys(names, "junk"))
    publisher.publish([Claim(uuid4(), 1, "coding", "good")])

    began = time.monotonic()
    take(consume(broker, prefetch=1, timeout=200), 1)

    assert time.monotonic() - began < 100 * POLL_SECONDS / 4, "it rested after each"


def test_a_message_whose_id_is_no_text_is_put_aside_under_its_own(broker: JobBroker, client: redis.Redis) -> None:
    broker.intake = Refusing()
    client.hset("mobvibe:coding.msgs", b"\xff\xfe", "junk")
    client.rpush("mobvibe:coding", b"\xff\xfe")

    assert next(consume(broker)) is None

    assert client.hgetall("mobvibe:coding.XQ.msgs") == {b"\xff\xfe": b"junk"}
    assert client.hlen("mobvibe:coding.msgs") == 0
    assert client.keys("mobvibe:__acks__*") == []


def test_a_message_under_another_ones_id_is_put_aside(broker: JobBroker, client: redis.Redis) -> None:
    (claim,) = claims(1)
    client.hset("mobvibe:coding.msgs", "other", seal([claim])[1])
    client.rpush("mobvibe:coding", "other")

    assert next(consume(broker)) is None
    assert client.hkeys("mobvibe:coding.XQ.msgs") == [b"other"]


def test_what_was_taken_goes_back_when_the_consumer_closes(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    publisher.publish(claims(5))
    consumer = consume(broker, prefetch=5)
    (message,) = take(consumer, 1)  # the other four are taken, and not handed on

    consumer.close()
    consumer.requeue([message])

    assert client.llen("mobvibe:coding") == 5
    assert client.keys("mobvibe:__acks__*") == []


def test_a_process_may_keep_redis_out_of_what_it_gives_back(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    returned: list[str] = []

    class Keeping(PlainIntake):
        def returned(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
            returned.extend(message.message_id for message in messages)
            return []

    broker.intake = Keeping()
    publisher.publish(claims(3))
    consumer = consume(broker, prefetch=3)
    take(consumer, 1)

    consumer.close()

    assert len(returned) == 2
    assert client.llen("mobvibe:coding") == 0
    assert client.hlen("mobvibe:coding.msgs") == 1  # the one that is out


def test_a_draining_broker_takes_no_more_and_still_acknowledges(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    publisher.publish(claims(3))
    consumer = consume(broker, prefetch=1)
    (message,) = take(consumer, 1)
    broker.drain()

    consumer.ack(message)

    eventually(lambda: next(consumer) is None and client.hlen("mobvibe:coding.msgs") == 2)
    assert client.llen("mobvibe:coding") == 2


def test_a_redis_outage_is_logged_once_and_costs_nothing(
    publisher: Publisher,
    broker: JobBroker,
    client: redis.Redis,
    server: fakeredis.FakeServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "bridge.transport.job_broker")
    publisher.publish(claims(2))
    consumer = consume(broker, prefetch=1)
    (message,) = take(consumer, 1)

    server.connected = False
    consumer.ack(message)
    assert [next(consumer) for _ in range(20)] == [None] * 20
    with pytest.raises(RedisUnavailableError):
        publisher.publish(claims(1))
    server.connected = True

    take(consumer, 1)
    assert [record.getMessage() for record in caplog.records if record.name.endswith("job_broker")] == [
        "Redis is unreachable, running jobs go on",
        "Redis is back",
    ]
    eventually(lambda: next(consumer) is None and client.hlen("mobvibe:coding.msgs") == 1)


def test_messages_whose_answer_was_lost_are_taken_again(
    publisher: Publisher, broker: JobBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(claims(2))
    consumer = consume(broker)
    exchange = broker.exchange
    lost: list[int] = []

    def lose_the_first_answer(queue: str, room: int, done: Sequence[str]) -> list[Any]:
        taken = exchange(queue, room, done)
        if not lost:
            lost.append((len(taken) - 1) // 2)
            raise RedisUnavailableError("the answer was lost")
        return taken

    monkeypatch.setattr(broker, "exchange", lose_the_first_answer)

    assert len(take(consumer, 2)) == 2
    assert lost == [2]

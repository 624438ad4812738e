"""The consumer over fakeredis: which messages it takes, dead-letters, requeues and acknowledges."""

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
from bridge.transport.intake import PlainIntake, PlainMessage
from bridge.transport.job_broker import JobBroker
from bridge.transport.messages import seal
from bridge.transport.publisher import Publisher
from bridge.transport.slots import Room, Slots
from bridge.transport.wake_message import WakeMessage
from tests.support.consuming import claims, consume, ids, take
from tests.support.waiting import eventually


class Refusing(PlainIntake):
    def open(self, data: bytes, queue_name: str, redis_id: str) -> list[PlainMessage]:
        raise BadMessageError("undecodable")


def test_no_more_messages_are_taken_than_the_prefetch(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
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

    taken = [broker.exchange("coding", Room(limit), [])[2::3] for limit in (3, 4)]

    assert [len(one) for one in taken] == [1, 2], "the last one taken may bring more than was asked for"


def test_beyond_the_slots_only_what_is_more_urgent_than_what_waits_here_is_taken(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    publisher.publish([replace(claim, priority=n) for n, claim in zip((0, 5, 5, 7), claims(4), strict=True)])

    assert broker.exchange("coding", Room(0, 8, 7), []) == [0, 0]
    assert broker.exchange("coding", Room(0, 2, 3), [])[1::3] == [1, 7, 5], (
        "all that may be taken was, and more may wait"
    )
    assert broker.exchange("coding", Room(0, 8, 3), [])[1::3] == [0, 5]
    assert client.llen("mobvibe:coding") == 1


def test_a_job_that_runs_alone_waits_for_a_slot_however_urgent(publisher: Publisher, broker: JobBroker) -> None:
    publisher.publish([replace(claim, priority=9, isolated=True) for claim in claims(1)])

    assert broker.exchange("coding", Room(0, 8, 0), []) == [0, 0]


def test_priorities_are_forgotten_with_their_messages(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    publisher.publish([replace(claim, priority=n) for n, claim in enumerate(claims(4))])
    names = [name.decode() for name in broker.exchange("coding", Room(4), [])[2::3]]
    client.hset("mobvibe:__priorities__.coding", "left by an older worker", 5)

    broker.exchange("coding", Room(0), names[:1])
    assert client.hlen("mobvibe:__priorities__.coding") == 3
    broker.do_nack("coding", names[1])
    assert client.hlen("mobvibe:__priorities__.coding") == 2
    broker.exchange("coding", Room(0), names[2:])

    assert not client.exists("mobvibe:__priorities__.coding")


class Recording(PlainIntake):
    """Notes what is started together."""

    def __init__(self) -> None:
        self.starts: list[list[str]] = []
        self.locked: set[str] = set()

    def start(self, messages: Sequence[PlainMessage]) -> tuple[list[PlainMessage], list[PlainMessage]]:
        self.starts.append([message.args[0] for message in messages])
        again = [message for message in messages if message.args[0] in self.locked]
        return [message for message in messages if message not in again], again


@pytest.mark.parametrize(("waiting", "starts"), [(4, [1, 6]), (5, [7]), (None, [7])])
def test_those_of_a_fetch_that_overtake_what_waits_here_are_started_before_the_others(
    publisher: Publisher, broker: JobBroker, waiting: int | None, starts: list[int]
) -> None:
    intake = Recording()
    broker.take_jobs(intake, Slots(10, stock=False, least_urgent=lambda: waiting))
    low, urgent = claims(4), [replace(claim, priority=n) for n, claim in zip((5, 3, 3), claims(3), strict=True)]
    publisher.publish([*low, *urgent])

    assert ids(take(consume(broker), 7)) == [str(claim.job_id) for claim in (*urgent, *low)]
    assert [len(one) for one in intake.starts] == starts


def test_an_urgent_job_passes_what_was_started_and_not_passed_on(publisher: Publisher, broker: JobBroker) -> None:
    broker.take_jobs(PlainIntake(), Slots(10, stock=False, least_urgent=lambda: 0))
    low, (urgent,) = claims(4), [replace(claim, priority=5) for claim in claims(1)]
    publisher.publish(low)
    consumer = consume(broker)
    assert broker._wakeups is not None
    assert broker._wakeups.subscribed.wait(5)
    first = ids(take(consumer, 1))
    publisher.publish([urgent], urgent=WakeMessage("coding", 5, 1))
    eventually(lambda: consumer._is_urgent)

    passed_on = first + ids(take(consumer, 4))

    assert passed_on == [str(claim.job_id) for claim in (low[0], urgent, *low[1:])]


def test_workers_hear_of_urgent_jobs_and_of_their_beginning(publisher: Publisher, broker: JobBroker) -> None:
    class Listening(PlainIntake):
        heard: list[tuple[int, int, bool]] = []  # noqa: RUF012 -- of one test

        def urgent(self, priority: int, jobs: int, *, hold: bool) -> None:
            self.heard.append((priority, jobs, hold))

    intake = Listening()
    broker.take_jobs(intake, Slots(10, stock=False))
    consumer = consume(broker)
    assert broker._wakeups is not None
    assert broker._wakeups.subscribed.wait(5)
    publisher.publish([replace(claim, priority=5) for claim in claims(2)], urgent=WakeMessage("coding", 5, 2))
    eventually(lambda: intake.heard == [(5, 2, True)])

    broker.urgent_began("coding", 5)
    next(consumer)

    eventually(lambda: intake.heard[1:] == [(5, -1, True)])


def test_an_urgent_job_that_cannot_be_started_yet_holds_up_no_other(publisher: Publisher, broker: JobBroker) -> None:
    intake = Recording()
    broker.take_jobs(intake, Slots(10, stock=False, least_urgent=lambda: 0))
    low, (urgent,) = claims(2), [replace(claim, priority=5) for claim in claims(1)]
    intake.locked = {str(urgent.job_id)}
    publisher.publish([*low, urgent])
    consumer = consume(broker)

    assert ids(take(consumer, 2)) == [str(claim.job_id) for claim in low]

    intake.locked.clear()
    assert ids(take(consumer, 1)) == [str(urgent.job_id)]


def test_adjacent_messages_of_suspects_go_to_one_process(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    first, *line, last = claims(5)
    line = [replace(claim, isolated=True) for claim in line]
    publisher.publish([first, *line, last])
    consumer = consume(broker, prefetch=2)

    assert ids(take(consumer, 4)) == [str(claim.job_id) for claim in (first, *line)]
    assert next(consumer) is None
    assert client.llen("mobvibe:coding") == 1


def test_an_acknowledged_message_is_deleted(publisher: Publisher, broker: JobBroker, client: redis.Redis) -> None:
    publisher.publish(claims(3))
    consumer = consume(broker)
    for message in take(consumer, 3):
        consumer.ack(message)

    eventually(lambda: next(consumer) is None and client.hlen("mobvibe:coding.msgs") == 0)

    assert client.keys("mobvibe:__acks__*") == []


def test_a_late_acknowledgement_of_a_requeued_message_changes_nothing(
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


def test_an_undecodable_message_is_dead_lettered_once_and_the_others_run(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    refused: list[str] = []

    class Choosy(PlainIntake):
        def open(self, data: bytes, queue_name: str, redis_id: str) -> list[PlainMessage]:
            if data == b"junk":
                raise BadMessageError("undecodable")
            return super().open(data, queue_name, redis_id)

        def rejected(self, error: BadMessageError, data: bytes) -> None:
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
    """Refuses invalid messages, and starts valid ones."""

    def open(self, data: bytes, queue_name: str, redis_id: str) -> list[PlainMessage]:
        if data == b"junk":
            raise BadMessageError("undecodable")
        return super().open(data, queue_name, redis_id)

    def start(self, messages: Sequence[PlainMessage]) -> tuple[list[PlainMessage], list[PlainMessage]]:
        return [message for message in messages if message.actor_name == "good"], []


@pytest.mark.parametrize("kind", ["refused", "not ours", "without a payload"])
def test_invalid_messages_do_not_delay_valid_ones_behind_them(
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


def test_a_message_whose_id_is_not_utf_8_is_dead_lettered_under_that_id(broker: JobBroker, client: redis.Redis) -> None:
    broker.intake = Refusing()
    client.hset("mobvibe:coding.msgs", b"\xff\xfe", "junk")
    client.rpush("mobvibe:coding", b"\xff\xfe")

    assert next(consume(broker)) is None

    assert client.hgetall("mobvibe:coding.XQ.msgs") == {b"\xff\xfe": b"junk"}
    assert client.hlen("mobvibe:coding.msgs") == 0
    assert client.keys("mobvibe:__acks__*") == []


def test_a_message_under_the_id_of_another_is_dead_lettered(broker: JobBroker, client: redis.Redis) -> None:
    (claim,) = claims(1)
    client.hset("mobvibe:coding.msgs", "other", seal([claim])[1])
    client.rpush("mobvibe:coding", "other")

    assert next(consume(broker)) is None
    assert client.hkeys("mobvibe:coding.XQ.msgs") == [b"other"]


def test_taken_messages_are_requeued_when_the_consumer_closes(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    publisher.publish(claims(5))
    consumer = consume(broker, prefetch=5)
    (message,) = take(consumer, 1)  # the other four are taken, and not passed to Dramatiq

    consumer.close()
    consumer.requeue([message])

    assert client.llen("mobvibe:coding") == 5
    assert client.keys("mobvibe:__acks__*") == []


def test_the_intake_decides_which_returned_messages_go_back_to_redis(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    returned: list[str] = []

    class Keeping(PlainIntake):
        def returned(self, messages: Sequence[PlainMessage]) -> Sequence[PlainMessage]:
            returned.extend(message.message_id for message in messages)
            return []

    broker.intake = Keeping()
    publisher.publish(claims(3))
    consumer = consume(broker, prefetch=3)
    take(consumer, 1)

    consumer.close()

    assert len(returned) == 2
    assert client.llen("mobvibe:coding") == 0
    assert client.hlen("mobvibe:coding.msgs") == 1  # the one that Dramatiq holds


def test_a_draining_broker_takes_no_messages_and_still_acknowledges(
    publisher: Publisher, broker: JobBroker, client: redis.Redis
) -> None:
    publisher.publish(claims(3))
    consumer = consume(broker, prefetch=1)
    (message,) = take(consumer, 1)
    broker.drain()

    consumer.ack(message)

    eventually(lambda: next(consumer) is None and client.hlen("mobvibe:coding.msgs") == 2)
    assert client.llen("mobvibe:coding") == 2


def test_a_redis_outage_is_logged_once_and_loses_no_message(
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

    def lose_the_first_answer(queue: str, room: Room, done: Sequence[str]) -> list[Any]:
        taken = exchange(queue, room, done)
        if not lost:
            lost.append((len(taken) - 2) // 3)
            raise RedisUnavailableError("the answer was lost")
        return taken

    monkeypatch.setattr(broker, "exchange", lose_the_first_answer)

    assert len(take(consumer, 2)) == 2
    assert lost == [2]

"""What a bridge puts on its queues: in order, once, and before messages of others."""

import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import redis

from bridge.job import Claim
from bridge.transport.job_broker import JobBroker
from bridge.transport.messages import message_id
from bridge.transport.publisher import Publisher
from bridge.transport.slots import Room
from tests.support.consuming import claims, consume, ids, take


def prioritized(priority: int) -> Claim:
    return Claim(uuid4(), 1, "coding", "run", priority)


def names(given: Sequence[Claim]) -> list[str]:
    return [message_id(claim) for claim in given]


def waiting(client: redis.Redis) -> list[str]:
    found: Any = client.lrange("mobvibe:coding", 0, -1)
    return [name.decode() for name in found]


def test_messages_are_taken_in_the_order_of_publishing(publisher: Publisher, broker: JobBroker) -> None:
    batch = claims(30)

    assert publisher.publish(batch) == 30

    assert ids(take(consume(broker, prefetch=100), 30)) == [str(claim.job_id) for claim in batch]


def test_what_waits_is_in_order_of_priority_and_then_of_age(client: redis.Redis) -> None:
    bridges = [Publisher(client, "mobvibe") for _ in range(2)]
    dice = random.Random(7)
    given: list[Claim] = []
    for n in range(60):
        batch = [prioritized(dice.choice((-5, 0, 0, 3, 9))) for _ in range(dice.randint(1, 12))]
        bridges[n % 2].publish(batch)
        given += batch

    assert waiting(client) == names(sorted(given, key=lambda claim: -claim.priority))


def test_a_message_holds_jobs_of_one_priority(publisher: Publisher, client: redis.Redis) -> None:
    publisher.publish([prioritized(n // 4) for n in range(8)], {"coding": 10})

    assert client.llen("mobvibe:coding") == 2


def test_equal_priorities_leave_nothing_in_redis_but_the_messages(publisher: Publisher, client: redis.Redis) -> None:
    publisher.publish(claims(20))

    assert not client.exists("mobvibe:__priorities__.coding")


def test_messages_of_an_older_bridge_count_as_of_priority_zero(publisher: Publisher, client: redis.Redis) -> None:
    older = claims(3)
    for claim in older:
        client.rpush("mobvibe:coding", message_id(claim))
    low, same, urgent = prioritized(-1), prioritized(0), prioritized(1)

    for claim in (low, same, urgent):
        publisher.publish([claim])

    assert waiting(client) == names([urgent, *older, same, low])


def test_ours_stay_in_order_before_all_of_somebody_elses(publisher: Publisher, client: redis.Redis) -> None:
    client.rpush("mobvibe:coding", *[f"theirs-{n}" for n in range(300)])
    low, urgent, middle = prioritized(0), prioritized(9), prioritized(5)

    for claim in (low, urgent, middle):
        publisher.publish([claim])

    assert waiting(client)[:4] == [*names([urgent, middle, low]), "theirs-0"]
    assert client.llen("mobvibe:coding") == 303


def test_what_is_put_there_again_finds_its_place(publisher: Publisher, broker: JobBroker, client: redis.Redis) -> None:
    low, middle, urgent = prioritized(0), prioritized(5), prioritized(9)
    publisher.publish([urgent, middle])
    taken = broker.exchange("coding", Room(2), [])[2::3]
    publisher.publish([low])

    broker.do_requeue("coding", *[name.decode() for name in reversed(taken)])
    assert waiting(client) == names([urgent, middle, low])

    client.flushdb()
    publisher.push_again([low, middle, urgent])
    assert waiting(client) == names([urgent, middle, low])


def test_a_place_is_found_in_a_long_list(publisher: Publisher, client: redis.Redis) -> None:
    many = [prioritized(n % 3) for n in range(3000)]
    publisher.publish(many)
    one = prioritized(1)

    publisher.publish([one])

    assert waiting(client).index(names([one])[0]) == 2000
    assert client.llen("mobvibe:coding") == 3001


def test_a_message_published_twice_is_in_the_queue_once(publisher: Publisher, client: redis.Redis) -> None:
    batch = claims(3)
    publisher.publish(batch)

    assert publisher.publish(batch) == 0

    assert client.llen("mobvibe:coding") == client.hlen("mobvibe:coding.msgs") == 3


def test_a_large_batch_over_several_queues_is_published_whole(publisher: Publisher, client: redis.Redis) -> None:
    assert publisher.publish([*claims(2500), *claims(10, "reports")]) == 2510

    assert client.llen("mobvibe:coding") == 2500
    assert client.llen("mobvibe:reports") == 10

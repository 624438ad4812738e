"""What a bridge puts on its queues: in order, once, and before messages of others."""

from uuid import uuid4

import redis

from bridge.job import Claim
from bridge.transport.job_broker import JobBroker
from bridge.transport.publisher import Publisher
from tests.support.consuming import claims, consume, ids, take


def test_messages_are_taken_in_the_order_of_publishing(publisher: Publisher, broker: JobBroker) -> None:
    batch = claims(30)

    assert publisher.publish(batch) == 30

    assert ids(take(consume(broker, prefetch=100), 30)) == [str(claim.job_id) for claim in batch]


def test_more_urgent_messages_overtake_waiting_ones_and_keep_their_own_order(
    publisher: Publisher, broker: JobBroker
) -> None:
    low = claims(20)
    urgent = [Claim(uuid4(), 1, "coding", "run", priority) for priority in (9, 5, 5)]
    publisher.publish(low[:10])

    publisher.publish([*urgent, *low[10:]])

    expected = [str(claim.job_id) for claim in [*urgent, *low]]
    assert ids(take(consume(broker, prefetch=100), 23)) == expected


def test_a_message_published_twice_is_in_the_queue_once(publisher: Publisher, client: redis.Redis) -> None:
    batch = claims(3)
    publisher.publish(batch)

    assert publisher.publish(batch) == 0

    assert client.llen("mobvibe:coding") == client.hlen("mobvibe:coding.msgs") == 3


def test_a_large_batch_over_several_queues_is_published_whole(publisher: Publisher, client: redis.Redis) -> None:
    assert publisher.publish([*claims(2500), *claims(10, "reports")]) == 2510

    assert client.llen("mobvibe:coding") == 2500
    assert client.llen("mobvibe:reports") == 10

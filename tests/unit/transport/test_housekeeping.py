"""Housekeeping requeues messages of dead worker processes and deletes old dead letters: ours, never those of others."""

import redis

from bridge.transport.housekeeping import Housekeeping
from bridge.transport.job_broker import JobBroker
from bridge.transport.publisher import Publisher
from tests.support.consuming import claims, consume, take


def test_messages_of_a_dead_process_are_requeued(publisher: Publisher, broker: JobBroker, client: redis.Redis) -> None:
    publisher.publish(claims(2))
    dead = JobBroker(client, middleware=[])
    take(consume(dead), 2)
    dead.close()
    client.zadd("mobvibe:__heartbeats__", {dead.broker_id: 1})

    Housekeeping(client, broker.names, "coding").tidy()

    assert len(take(consume(broker), 2)) == 2

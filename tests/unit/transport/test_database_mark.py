"""A namespace belongs to one database; processes of other databases refuse to use it."""

import pytest
import redis

from bridge.errors import NamespaceTakenError
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.job_broker import JobBroker
from bridge.transport.publisher import Publisher
from bridge.transport.slots import Room
from tests.support.consuming import claims

LIST, PAYLOADS = "mobvibe:coding", "mobvibe:coding.msgs"
ALPHA, BETA = "11111111-1111-4111-8111-111111111111 alpha", "22222222-2222-4222-8222-222222222222 beta"


def test_the_namespace_of_another_database_is_left_alone(client: redis.Redis, broker: JobBroker) -> None:
    mine, other = DatabaseMark(client, "mobvibe", ALPHA), DatabaseMark(client, "mobvibe", BETA)
    mine.take()
    publisher, stranger = Publisher(client, "mobvibe"), Publisher(client, "mobvibe")
    publisher.mark, stranger.mark = mine, other
    ours = claims(2)
    publisher.publish(ours)
    before = client.lrange(LIST, 0, -1), client.hgetall(PAYLOADS)

    with pytest.raises(NamespaceTakenError, match=r"'mobvibe' belongs to the database 'alpha'.*'beta'.*DEL mobvibe:__"):
        other.take()
    for call in (stranger.publish, stranger.push_again):
        with pytest.raises(NamespaceTakenError, match="alpha"):
            call(claims(2))
    broker.mark = other
    with pytest.raises(NamespaceTakenError, match="alpha"):
        broker.exchange("coding", Room(10), [])

    assert (client.lrange(LIST, 0, -1), client.hgetall(PAYLOADS)) == before
    assert not client.exists("mobvibe:__heartbeats__")


@pytest.mark.parametrize("first", ["a bridge", "a worker"])
def test_the_mark_is_set_again_by_the_first_process_after_redis_was_emptied(
    client: redis.Redis, broker: JobBroker, publisher: Publisher, first: str
) -> None:
    publisher.mark = broker.mark = DatabaseMark(client, "mobvibe", ALPHA)
    publisher.mark.take()
    client.flushall()

    if first == "a bridge":
        publisher.publish(claims(1))
    else:
        broker.exchange("coding", Room(1), [])

    with pytest.raises(NamespaceTakenError):
        DatabaseMark(client, "mobvibe", BETA).take()

"""Dramatiq on Redis alone, as its guide sets it up: no Postgres, no record of what ran."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from record import record

broker = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench")
def noop(key: int) -> None:
    record(key)


def prepare() -> None:
    """Nothing to do: Redis needs no schema."""


def fill(count: int) -> None:
    # As Dramatiq documents it for other languages: one hash entry and one list entry per message.
    for start in range(0, count, 1000):
        pipe = broker.client.pipeline(transaction=False)
        for key in range(start, min(start + 1000, count)):
            message = noop.message(key)
            message = message.copy(options={"redis_message_id": message.message_id})
            pipe.hset("dramatiq:bench.msgs", message.message_id, message.encode())
            pipe.rpush("dramatiq:bench", message.message_id)
        pipe.execute()


def send(key: int) -> None:
    noop.send(key)


if __name__ == "__main__":
    from client import main

    main(prepare, fill, send)

"""Celery on Redis, results off."""

import os

from celery import Celery
from record import record

app = Celery("bench", broker=os.environ["REDIS_URL"])
app.conf.task_ignore_result = True


@app.task(name="noop")
def noop(key: int) -> None:
    record(key)


def prepare() -> None:
    """Nothing to do: Redis needs no schema."""


def fill(count: int) -> None:
    with app.pool.acquire(block=True) as connection, connection.channel() as channel:
        producer = app.amqp.Producer(channel)
        for key in range(count):
            noop.apply_async((key,), producer=producer)


def send(key: int) -> None:
    noop.delay(key)


if __name__ == "__main__":
    from client import main

    main(prepare, fill, send)

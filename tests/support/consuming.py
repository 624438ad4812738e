"""Claims to publish, and a consumer of one queue that takes them."""

from collections.abc import Sequence
from uuid import uuid4

from dramatiq.broker import MessageProxy

from bridge.job import Claim
from bridge.transport.consumer import JobConsumer
from bridge.transport.job_broker import JobBroker
from tests.support.waiting import eventually


def claims(count: int, queue: str = "coding") -> list[Claim]:
    return [Claim(uuid4(), 1, queue, "run") for _ in range(count)]


def consume(broker: JobBroker, prefetch: int = 10, timeout: int = 10) -> JobConsumer:
    consumer = broker.consume("coding", prefetch=prefetch, timeout=timeout)
    assert isinstance(consumer, JobConsumer)
    return consumer


def take(consumer: JobConsumer, count: int) -> list[MessageProxy]:
    taken: list[MessageProxy] = []

    def enough() -> bool:
        message = next(consumer)
        if message is not None:
            taken.append(message)
        return len(taken) == count

    eventually(enough, what=f"{count} messages")
    return taken


def ids(messages: Sequence[MessageProxy]) -> list[str]:
    return [message.args[0] for message in messages]

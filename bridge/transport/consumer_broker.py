"""The interfaces between a consumer and the broker that made it."""

from collections.abc import Sequence
from typing import Any, Protocol

from bridge.errors import RedisUnavailableError, WrongKeyError
from bridge.transport.client import Client
from bridge.transport.intake import Intake
from bridge.transport.names import Names
from bridge.transport.slots import Slots


class WokenConsumer(Protocol):
    def wake(self) -> None:
        """There may be messages, or free slots for them."""

    def start_again(self) -> None:
        """Try again to start jobs that could not be started."""


class ConsumerBroker(Protocol):
    client: Client
    names: Names
    intake: Intake
    slots: Slots | None
    draining: bool

    def add_consumer(self, queue_name: str, consumer: WokenConsumer) -> None: ...
    def remove_consumer(self, queue_name: str, consumer: WokenConsumer) -> None: ...
    def wake_all(self) -> None: ...

    def exchange(self, queue_name: str, slots: int, done: Sequence[str]) -> list[Any]: ...
    def search_foreign(self, queue_name: str, start: int, length: int) -> tuple[int, int, int, str]: ...
    def requeue_unknown(self, queue_name: str, known: set[str]) -> None: ...
    def do_requeue(self, queue_name: str, *message_ids: str) -> None: ...
    def do_nack(self, queue_name: str, message_id: str | bytes) -> None: ...

    def named(self, error: WrongKeyError, queue_name: str) -> WrongKeyError: ...
    def redis_failed(self, error: RedisUnavailableError) -> None: ...
    def redis_works(self) -> None: ...

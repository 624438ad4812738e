"""Dramatiq's RedisBroker, changed for jobs: consumers are woken, acknowledge in groups, and there are no delays."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dramatiq import Message, Middleware

from bridge.errors import RedisUnavailableError, SettingsError, WrongKeyError
from bridge.transport import wake_message
from bridge.transport.client import Client, load_script, translate_redis_errors
from bridge.transport.consumer import JobConsumer
from bridge.transport.consumers import Consumers, WokenConsumer
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.freed import FreedSlots
from bridge.transport.hooked_broker import HookedBroker
from bridge.transport.intake import Intake, PlainIntake
from bridge.transport.messages import SUSPECTS_MOST
from bridge.transport.names import WORKER_PREFIX, may_be_queue, names_of
from bridge.transport.slots import Room, Slots
from bridge.transport.wake_message import WakeMessage
from bridge.transport.wakeups import WakeUps
from bridge.transport.wrong_keys import keys_of, named, namespace_keys

logger = logging.getLogger(__name__)


class JobBroker(HookedBroker):
    """Keeps what Dramatiq promises of a RedisBroker, except delays: those belong to Postgres.

    A worker process sets `intake` and `slots` with `take_jobs`. Without a worker process, messages are Dramatiq's own.
    """

    def __init__(
        self, client: Client, *, namespace: str = "mobvibe", middleware: list[Middleware] | None = None
    ) -> None:
        super().__init__(
            client=client,
            namespace=namespace,
            middleware=middleware,
        )
        self.broker_id = WORKER_PREFIX + self.broker_id  # otherwise Dramatiq's own brokers would clean up after it
        self.names = names_of(client, namespace)
        self.mark = DatabaseMark(client, namespace)  # until the database is known
        self.intake: Intake = PlainIntake()
        self.slots: Slots | None = None
        self.draining = False
        self._exchange = load_script(client, "exchange")
        self._sift = load_script(client, "sift")
        self._give_back = load_script(client, "give_back")
        self._put_aside = load_script(client, "put_aside")
        self._lock = threading.Lock()
        self._consumers = Consumers()
        self._wakeups: WakeUps | None = None
        self._down = False

    @property
    def consumer_class(self) -> type[JobConsumer]:
        return JobConsumer

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, without the delay queue that Dramatiq adds: nothing here would use it."""
        if not may_be_queue(queue_name):
            raise SettingsError(
                f"The queue name {queue_name!r} would collide with keys of another one: it may not begin with __ "
                "nor end in .msgs, .XQ or .DQ"
            )
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: "Message[Any]", *, delay: int | None = None) -> "Message[Any]":
        if delay is not None:
            raise ValueError("delays belong to Postgres: insert the job with run_at instead")
        return super().enqueue(message)

    def take_jobs(self, intake: Intake, slots: Slots) -> None:
        """From now on `intake` decides what happens to messages, and `slots` how many are taken."""
        self.intake, self.slots = intake, slots

    def drain(self) -> None:
        """Take no more messages; jobs that were taken may finish."""
        self.draining = True
        self.wake_all()

    def close(self) -> None:
        if self._wakeups is not None:
            self._wakeups.close()
            self._wakeups = None

    def announce_freed(self, settled: Mapping[str, tuple[int, float]]) -> None:
        """Send bridges what this worker settled, which frees slots: queue → jobs, and their milliseconds in total.

        A hint: if it is lost, the next job starts later. Waiting for an absent Redis would delay every report. So after
        the first error nothing is sent until a consumer gets an answer from Redis.
        """
        if self._down:
            return
        message = FreedSlots(settled, self._consumers.queues)
        try:
            with translate_redis_errors():
                self.client.publish(self.names.freed, message.to_json())
        except RedisUnavailableError as error:
            self.redis_failed(error)

    def start_again(self) -> None:
        """A job ended. Jobs that could not be started before may have waited for it."""
        for consumer in self._consumers.of(None):
            consumer.start_again()

    def urgent_began(self, queue_name: str, priority: int) -> None:
        """A job began that others are held up for. Returns at once: its consumer tells the other processes."""
        for consumer in self._consumers.of(queue_name):
            consumer.urgent_began(priority)

    # What consumers call: see ConsumerBroker.

    def announce_urgent(self, queue_name: str, priority: int) -> None:
        """Tell all workers that a job of this priority began. A hint, as `announce_freed`."""
        try:
            with translate_redis_errors():
                self.client.publish(self.names.wake, WakeMessage(queue_name, priority, -1).to_text())
        except RedisUnavailableError as error:
            self.redis_failed(error)

    def add_consumer(self, queue_name: str, consumer: WokenConsumer) -> None:
        self._consumers.add(queue_name, consumer)
        with self._lock:
            if self._wakeups is None:
                self._wakeups = WakeUps(self.client, self.names.wake, self._wake)
                self._wakeups.start()

    def remove_consumer(self, queue_name: str, consumer: WokenConsumer) -> None:
        self._consumers.remove(queue_name, consumer)

    def wake_all(self) -> None:
        """There are free slots, for any queue."""
        for consumer in self._consumers.of(None):
            consumer.wake()

    def exchange(self, queue_name: str, room: Room, done: Sequence[str]) -> list[Any]:
        """Acknowledge `done` and take messages for the jobs that there is room for: see lua/exchange.lua.

        Returns 1 if the first message that waits is another application's, else 0; 1 if all was taken that may go
        beyond the room, else 0; then id, payload, priority, id, payload, priority, …
        """
        names = self.names
        keys = [
            names.waiting(queue_name), names.payloads(queue_name), names.held(self.broker_id, queue_name),
            names.heartbeats, names.owner, names.priorities(queue_name),
        ]  # fmt: skip
        args = [
            self.broker_id, int(time.time() * 1000), room.jobs, room.beyond, room.floor, SUSPECTS_MOST, self.mark.text,
            int(self.intake.takes_any), *done,
        ]  # fmt: skip
        with self.mark.translate_errors():
            answer: list[Any] = self._exchange(keys=keys, args=args)
        return answer

    def search_foreign(self, queue_name: str, start: int, length: int) -> tuple[int, int, int, str]:
        """Move our messages to the front from among another application's: see lua/sift.lua."""
        with translate_redis_errors():
            waiting, seen, moved, other = self._sift(keys=[self.names.waiting(queue_name)], args=[start, length])
        return waiting, seen, moved, other.decode("utf-8", "replace")

    def requeue_unknown(self, queue_name: str, known: set[str]) -> None:
        """Put back messages that Redis counts as ours and that we do not know: the answer with them was lost."""
        with translate_redis_errors():
            held: Any = self.client.smembers(self.names.held(self.broker_id, queue_name))
        unknown = {message_id.decode("utf-8", "replace") for message_id in held} - known
        if unknown:
            self.do_requeue(queue_name, *unknown)

    # Dramatiq's own commands, those that are used here. Its script uses the bare namespace as a key, which an ACL rule
    # for `namespace:*` does not cover, and cleans up after other applications' workers.

    def do_enqueue(self, queue_name: str, message_id: str, data: bytes) -> None:
        with translate_redis_errors():
            pipeline = self.client.pipeline(transaction=True)
            pipeline.hset(self.names.payloads(queue_name), message_id, data)
            pipeline.rpush(self.names.waiting(queue_name), message_id)
            pipeline.publish(self.names.wake, queue_name)
            pipeline.execute()

    def do_requeue(self, queue_name: str, *message_ids: str) -> None:
        names = self.names
        keys = [names.waiting(queue_name), names.payloads(queue_name), names.priorities(queue_name)]
        with translate_redis_errors():
            self._give_back(keys=[*keys, names.held(self.broker_id, queue_name)], args=message_ids)

    def do_nack(self, queue_name: str, message_id: str | bytes) -> None:
        keys = [
            self.names.held(self.broker_id, queue_name), self.names.payloads(queue_name),
            self.names.dead(queue_name), self.names.dead_payloads(queue_name), self.names.priorities(queue_name),
        ]  # fmt: skip
        with translate_redis_errors():
            self._put_aside(keys=keys, args=[int(time.time() * 1000), message_id])

    def do_qsize(self, queue_name: str) -> int:
        with translate_redis_errors():
            held: Any = self.client.scard(self.names.held(self.broker_id, queue_name))
            waiting: Any = self.client.hlen(self.names.payloads(queue_name))
        return int(held) + int(waiting)

    def flush(self, queue_name: str) -> None:
        """Drop all messages of a queue, other applications' too."""
        names = self.names
        with translate_redis_errors():
            self.client.delete(
                names.waiting(queue_name), names.payloads(queue_name), names.held(self.broker_id, queue_name),
                names.dead(queue_name), names.dead_payloads(queue_name), names.priorities(queue_name),
            )  # fmt: skip

    def named(self, error: WrongKeyError, queue_name: str) -> WrongKeyError:
        """The same error with the name of the key that has the wrong type."""
        held = {self.names.held(self.broker_id, queue_name): "set"}
        return named(error, self.client, keys_of(self.names, queue_name) | namespace_keys(self.names) | held)

    def redis_failed(self, error: RedisUnavailableError) -> None:
        if not self._down:
            self._down = True
            logger.error("Redis %s, running jobs go on", error.condition, extra={"reason": str(error)})

    def redis_works(self) -> None:
        if self._down:
            self._down = False
            logger.info("Redis is back")

    def _wake(self, text: str | None) -> None:
        message = wake_message.parse(text)
        consumers = self._consumers.of(message.queue)
        if message.jobs and consumers:
            # Where jobs are short, a thread is free at once, and to hold up others would cost more than it brings.
            hold = self.slots is not None and not self.slots.are_short
            self.intake.urgent(message.priority, message.jobs, hold=hold)
        if message.jobs >= 0:
            for consumer in consumers:
                consumer.wake(message.priority if message.jobs else None)

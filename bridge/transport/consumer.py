"""A worker process's end of the road: takes messages of one queue and tells when they are done with."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dramatiq import Message
from dramatiq.broker import Consumer, MessageProxy

from bridge.errors import BadMessageError, RedisUnavailableError
from bridge.transport.client import in_our_words

if TYPE_CHECKING:
    from bridge.transport.job_broker import JobBroker

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
_HOUSEKEEPING_SECONDS = 60.0


class JobConsumer(Consumer):
    """Yields messages as long as fewer than `prefetch` are out, and None when there is nothing to do.

    Between messages it sleeps on an event that three things set: a publish (through a wake-up), a message
    that is done, the end. A poll a second covers a lost wake-up. Redis trouble never leaves this class:
    Dramatiq would log it, throw the consumer away and sleep three seconds, each time.
    """

    def __init__(self, broker: "JobBroker", queue_name: str, prefetch: int, timeout: int) -> None:
        self._broker = broker
        self._queue = queue_name
        self._prefetch = prefetch
        self._rest_seconds = timeout / 1000
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._out: set[str] = set()  # ids taken from Redis and not done with
        self._done: list[str] = []  # ids to tell Redis about
        self._fetched: deque[tuple[str, bytes]] = deque()
        self._next_poll = 0.0
        self._next_housekeeping = time.monotonic() + random.uniform(1, _HOUSEKEEPING_SECONDS)  # noqa: S311
        self._in_doubt = False  # a call failed: Redis may have given us messages we never saw
        broker.add_consumer(queue_name, self)

    def wake(self) -> None:
        self._wake.set()

    def __next__(self) -> MessageProxy | None:
        while self._fetched or self._exchange():
            message_id, data = self._fetched.popleft()
            if (message := self._open(message_id, data)) is not None:
                return MessageProxy(message)
        self._wake.wait(self._rest_seconds)
        return None

    def ack(self, message: MessageProxy) -> None:
        self._forget(message.options["redis_message_id"])

    def nack(self, message: MessageProxy) -> None:
        self._put_aside(message.options["redis_message_id"])

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back messages that will not run here, at the end of this worker process."""
        self._give_back([message._message for message in messages])  # noqa: SLF001 -- the proxy has no other way in

    def close(self) -> None:
        """Give back what was taken and not handed on, and tell Redis what is done."""
        self._broker.remove_consumer(self._queue, self)
        unread = []
        while self._fetched:
            message_id, data = self._fetched.popleft()
            if (message := self._open(message_id, data)) is not None:
                unread.append(message)
        self._give_back(unread)
        try:
            self._call(0)
        except RedisUnavailableError as error:
            # The messages stay behind; whoever gets them finds their attempts over.
            logger.debug("Acknowledgements were lost", extra={"queue": self._queue, "reason": str(error)})

    def _exchange(self) -> bool:
        """Tell Redis what is done and take what there is room for; True when messages came."""
        woken = self._wake.is_set()
        self._wake.clear()  # before looking: a wake-up during the call must survive
        with self._lock:
            done, room = bool(self._done), self._prefetch - len(self._out)
        if self._broker.draining:
            room = 0
        poll_is_due = time.monotonic() >= self._next_poll
        if self._in_doubt and not poll_is_due:
            return False
        if not done and not (room > 0 and (woken or poll_is_due)):
            return False
        try:
            self._housekeep()
            self._call(max(room, 0))
        except RedisUnavailableError as error:
            self._in_doubt = True
            self._broker.redis_failed(error)
            self._next_poll = time.monotonic() + random.uniform(0.1, POLL_SECONDS)  # noqa: S311
            return False
        self._broker.redis_works()
        return bool(self._fetched)

    def _call(self, room: int) -> None:
        with self._lock:
            done, self._done = self._done, []
        try:
            taken: list[bytes] = self._broker.exchange(self._queue, room, done)
        except RedisUnavailableError:
            with self._lock:
                self._done = done + self._done
            raise
        pairs = [(taken[i].decode("utf-8", "replace"), taken[i + 1]) for i in range(0, len(taken), 2)]
        with self._lock:
            self._out.update(message_id for message_id, _ in pairs)
            has_room = len(self._out) < self._prefetch
        self._fetched.extend(pairs)
        # A full answer hints at more; an empty one waits for a wake-up or the poll.
        more = room > 0 and len(pairs) == room and has_room
        self._next_poll = 0.0 if more else time.monotonic() + POLL_SECONDS

    def _open(self, message_id: str, data: bytes) -> "Message[Any] | None":
        try:
            message = self._broker.open_message(data, self._queue)
            if message.options.get("redis_message_id") != message_id:
                raise BadMessageError("wrong_id")
            return message
        except BadMessageError as error:
            logger.warning(
                "Message refused", extra={"queue": self._queue, "reason": error.reason, "messageId": message_id[:80]}
            )
            self._broker.refused(error, data)
            self._put_aside(message_id)
            return None

    def _forget(self, message_id: str) -> None:
        with self._lock:
            self._done.append(message_id)
            self._out.discard(message_id)
        self.wake()

    def _put_aside(self, message_id: str) -> None:
        """Move a message to the dead letters, once."""
        try:
            with in_our_words():
                self._broker.do_nack(self._queue, message_id)
        except RedisUnavailableError as error:
            logger.debug("A dead letter was lost", extra={"queue": self._queue, "reason": str(error)})
        with self._lock:
            self._out.discard(message_id)
        self.wake()

    def _give_back(self, messages: "list[Message[Any]]") -> None:
        if not messages:
            return
        kept = self._broker.returned(messages)
        for message in messages:
            if message not in kept:
                self._forget(message.options["redis_message_id"])
        if kept:
            try:
                with in_our_words():
                    self._broker.do_requeue(self._queue, *(message.options["redis_message_id"] for message in kept))
            except RedisUnavailableError as error:
                logger.warning("Messages could not be given back", extra={"queue": self._queue, "reason": str(error)})

    def _housekeep(self) -> None:
        """Put back on the queue what dead processes, or answers we never got, left behind."""
        if self._in_doubt:
            with self._lock:
                known = set(self._out) | set(self._done)
            self._broker.requeue_unknown(self._queue, known)
            self._in_doubt = False
        if time.monotonic() >= self._next_housekeeping:
            self._next_housekeeping = time.monotonic() + _HOUSEKEEPING_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311
            self._broker.maintain(self._queue)

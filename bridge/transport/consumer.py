"""A worker process's end of the road: takes messages of one queue and tells when they are done with."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import cast

from dramatiq.broker import Consumer, MessageProxy

from bridge.errors import BadMessageError, BridgeError, RedisUnavailableError, WrongKeyError
from bridge.runtime.backoff import full_jitter
from bridge.runtime.outages import ErrorReporter
from bridge.runtime.watchdog import WATCHDOG
from bridge.transport.consumer_broker import ConsumerBroker
from bridge.transport.housekeeping import Housekeeping
from bridge.transport.intake import JobMessage
from bridge.transport.slots import Slots
from bridge.transport.strangers import Strangers

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
_START_AGAIN_SECONDS = 0.2
_WRONG_KEY_REST_SECONDS = 2.0


class JobConsumer(Consumer):
    """Yields jobs as long as there are slots for them, and None when there is nothing to do.

    A whole fetch is opened and started in one go. Between fetches it sleeps on an event that three things set:
    a publish (through a wake-up), a job that is done, the end. A poll a second covers a lost wake-up. Trouble
    with a store never leaves this class: Dramatiq would log it, throw the consumer away and sleep three
    seconds, each time.
    """

    def __init__(self, broker: ConsumerBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        self._broker = broker
        self._queue = queue_name
        self._slots = broker.slots or Slots(prefetch, stock=False)
        self._rest_seconds = timeout / 1000
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._out: dict[str, int] = {}  # id of a message → its jobs that are not done with
        self._done: list[str] = []  # ids to tell Redis about
        self._opened: list[JobMessage] = []  # to be started
        self._ready: deque[JobMessage] = deque()  # started, to be yielded
        self._next_poll = 0.0
        self._next_start = 0.0
        self._failed_starts = 0
        self._start_errors = ErrorReporter(
            f"starts from {queue_name}", lambda _: "Jobs cannot be started, they wait", "Jobs are started again"
        )
        self._wrong_keys = 0
        self._key_errors = ErrorReporter(
            f"messages of {queue_name}", lambda _: "A queue cannot be read, its jobs wait", "A queue is read again"
        )
        self._housekeeping = Housekeeping(broker.client, broker.names, queue_name)
        self._strangers = Strangers(queue_name, broker.sift)
        self._in_doubt = False  # a call failed: Redis may have given us messages we never saw
        broker.add_consumer(queue_name, self)

    def wake(self) -> None:
        self._wake.set()

    def start_again(self) -> None:
        """What could not be started until now perhaps can be. For any thread."""
        if self._opened:
            self._next_start = 0.0
            self._wake.set()

    def __next__(self) -> MessageProxy | None:
        if not self._ready:
            WATCHDOG.turn()
            if not self._fetch():
                self._wake.wait(self._rest_seconds)
                return None
        return self._ready.popleft()

    def ack(self, message: MessageProxy) -> None:
        if self._forget(cast("JobMessage", message)):
            self._broker.wake_all()

    def nack(self, message: MessageProxy) -> None:
        """Dramatiq's word for what failed for good. A job's row says so: no dead letter of it is put into Redis."""
        if cast("JobMessage", message).held is None:
            self._put_aside(cast("JobMessage", message).redis_id)
        self.ack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back jobs that will not run here, at the end of this worker process."""
        self._give_back([cast("JobMessage", message) for message in messages])

    def close(self) -> None:
        """Give back what was taken and not handed on, and tell Redis what is done."""
        self._broker.remove_consumer(self._queue, self)
        left = [*self._ready, *self._opened]
        self._ready.clear()
        self._opened = []
        self._give_back(left)
        try:
            self._exchange(0)
        except RedisUnavailableError as error:
            # The messages stay behind; whoever gets them finds their attempts over.
            logger.debug("Acknowledgements were lost", extra={"queue": self._queue, "reason": str(error)})

    def _fetch(self) -> bool:
        """Tell Redis what is done, take what there is room for, and start it; True when there is a job to yield."""
        if not self._opened or self._broker.draining:
            self._poll()
        elif self._wake.is_set():
            self._wake.clear()  # or there would be no rest until they are started
            self._next_poll = 0.0
        if self._opened and not self._broker.draining and time.monotonic() >= self._next_start:
            self._start()
        return bool(self._ready)

    def _poll(self) -> None:
        woken = self._wake.is_set()
        self._wake.clear()  # before polling: a wake-up during the call must survive
        poll_is_due = time.monotonic() >= self._next_poll
        if not poll_is_due and (self._in_doubt or not (woken or self._done)):
            return
        room = 0 if self._broker.draining else self._slots.reserve(self.wake)
        before = room
        try:
            if room == 0 and not self._done and not poll_is_due:
                return
            self._housekeep()
            room -= self._exchange(room)
        except WrongKeyError as error:
            self._meet_wrong_key(error)
            return
        except RedisUnavailableError as error:
            self._in_doubt = True
            self._broker.redis_failed(error)
            self._next_poll = time.monotonic() + random.uniform(0.1, POLL_SECONDS)  # noqa: S311
            return
        finally:
            self._slots.settle(before, before - room)
        self._wrong_keys = 0
        self._key_errors.succeeded()
        self._broker.redis_works()

    def _meet_wrong_key(self, error: WrongKeyError) -> None:
        """It stops this queue alone."""
        self._key_errors.failed(self._broker.named(error, self._queue))
        self._in_doubt = True  # wake-ups do not cut the rest short
        self._wrong_keys += 1
        rest = full_jitter(self._wrong_keys, base_seconds=0.25, cap_seconds=_WRONG_KEY_REST_SECONDS)
        self._next_poll = time.monotonic() + 0.1 + rest

    def _exchange(self, room: int) -> int:
        """One call to Redis; how many jobs it brought."""
        with self._lock:
            done, self._done = self._done, []
        try:
            others_first, *taken = self._broker.exchange(self._queue, room, done)
        except RedisUnavailableError:
            with self._lock:
                self._done = done + self._done
            raise
        for i in range(0, len(taken), 2):
            self._opened += self._open(taken[i], taken[i + 1])
        # A full answer hints at more; an empty one waits for a wake-up or the poll.
        more = 0 < room <= len(self._opened)
        self._next_poll = 0.0 if more and self._slots.has_room() else time.monotonic() + POLL_SECONDS
        if others_first and self._strangers.met():
            self._next_poll = 0.0
        elif others_first:
            self._next_poll = min(self._next_poll, self._strangers.next_at)
        return len(self._opened)

    def _open(self, name: bytes, data: bytes) -> list[JobMessage]:
        redis_id = name.decode("utf-8", "replace")
        try:
            messages = self._broker.intake.open(data, self._queue, redis_id)
        except BadMessageError as error:
            logger.warning(
                "Message refused", extra={"queue": self._queue, "reason": error.reason, "messageId": redis_id[:80]}
            )
            self._broker.intake.refused(error, data)
            self._put_aside(name)  # as it came: no text may stand for it
            self.wake()  # what is good may stand behind it
            return []
        with self._lock:
            self._out[redis_id] = len(messages)
        return messages

    def _start(self) -> None:
        opened = self._opened
        try:
            ready, self._opened = self._broker.intake.start(opened)
        except BridgeError as error:
            self._start_errors.failed(error)
            self._failed_starts += 1
            rest = full_jitter(self._failed_starts, cap_seconds=error.rest_most_seconds)
            self._next_start = time.monotonic() + 0.1 + rest
            return
        self._start_errors.succeeded()
        self._failed_starts = 0
        if self._opened:
            self._next_start = time.monotonic() + _START_AGAIN_SECONDS
        self._ready.extend(ready)
        if len(ready) + len(self._opened) < len(opened):
            kept = set(map(id, [*ready, *self._opened]))
            for message in opened:
                if id(message) not in kept:
                    self._forget(message)
            self.wake()

    def _forget(self, message: JobMessage) -> bool:
        """One job is done with; True when it is worth looking for more."""
        with self._lock:
            left = self._out.get(message.redis_id, 1) - 1
            if left > 0:
                self._out[message.redis_id] = left
            else:
                self._out.pop(message.redis_id, None)
                self._done.append(message.redis_id)
        return self._slots.free()

    def _put_aside(self, redis_id: str | bytes) -> None:
        """Move a message to the dead letters, once."""
        try:
            self._broker.do_nack(self._queue, redis_id)
        except RedisUnavailableError as error:
            logger.debug("A dead letter was lost", extra={"queue": self._queue, "reason": str(error)})

    def _give_back(self, messages: Sequence[JobMessage]) -> None:
        if not messages:
            return
        kept = {message.redis_id for message in self._broker.intake.returned(messages)}
        for message in messages:
            if message.redis_id not in kept:
                self._forget(message)
        if kept:
            try:
                self._broker.do_requeue(self._queue, *kept)
            except RedisUnavailableError as error:
                logger.warning("Messages could not be given back", extra={"queue": self._queue, "reason": str(error)})

    def _housekeep(self) -> None:
        """Put back on the queue what dead processes, or answers we never got, left behind."""
        if self._in_doubt:
            with self._lock:
                known = set(self._out) | set(self._done)
            self._broker.requeue_unknown(self._queue, known)
            self._in_doubt = False
        self._housekeeping.step()

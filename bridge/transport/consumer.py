"""The consumer of one queue in a worker process: takes messages, starts their jobs, and acknowledges them."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, cast

from dramatiq.broker import Consumer, MessageProxy

from bridge.errors import BadMessageError, BridgeError, RedisUnavailableError, WrongKeyError
from bridge.runtime.backoff import full_jitter
from bridge.runtime.outages import ErrorReporter
from bridge.runtime.watchdog import WATCHDOG
from bridge.transport.consumer_broker import ConsumerBroker
from bridge.transport.foreign_messages import ForeignMessages
from bridge.transport.housekeeping import Housekeeping
from bridge.transport.intake import AnyMessage
from bridge.transport.messages import is_isolated
from bridge.transport.slots import Room, Slots

logger = logging.getLogger(__name__)

_urgency = attrgetter("urgency")

POLL_SECONDS = 1.0  # how late a message is taken whose wake-up was lost
_START_AGAIN_SECONDS = 0.2  # until jobs that could not be started yet are tried again, unless something ends before
# After an error at least _RETRY_SECONDS pass, so that a store whose errors come at once is not flooded. A key of the
# wrong type has to be corrected by an operator: two seconds later is soon enough.
_RETRY_SECONDS, _WRONG_KEY_FIRST_SECONDS, _WRONG_KEY_REST_SECONDS = 0.05, 0.25, 2.0


class JobConsumer(Consumer):
    """Yields jobs while there are slots for them, and None when there is nothing to do.

    All jobs of a fetch are started with one call. Between fetches it sleeps on an event that is set by a publish
    (through a wake-up), by a job that is done, and by the end of the process. A poll covers a lost wake-up. No error of
    a store leaves this class: Dramatiq would log it, drop the consumer and sleep for three seconds, each time.
    """

    def __init__(self, broker: ConsumerBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        self._broker = broker
        self._queue = queue_name
        self._slots = broker.slots or Slots(prefetch, stock=False)
        self._rest_seconds = timeout / 1000
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._out: dict[str, int] = {}  # id of a message → how many of its jobs are not done
        self._done: list[str] = []  # ids to acknowledge
        self._begun: deque[int] = deque()  # priorities of jobs that others are held up for
        self._opened: list[AnyMessage] = []  # to be started
        self._ready: deque[AnyMessage] = deque()  # started, to be yielded
        self._is_urgent = False  # something waits that overtakes what was started
        self._next_poll = 0.0
        self._next_start = 0.0
        self._is_new = False  # nothing of those opened was asked about
        self._failed_polls = 0
        self._failed_starts = 0
        self._start_errors = ErrorReporter(
            f"starts from {queue_name}", lambda _: "Jobs cannot be started, they wait", "Jobs are started again"
        )
        self._wrong_keys = 0
        self._key_errors = ErrorReporter(
            f"messages of {queue_name}", lambda _: "A queue cannot be read, its jobs wait", "A queue is read again"
        )
        self._housekeeping = Housekeeping(broker.client, broker.names, queue_name)
        self._foreign = ForeignMessages(queue_name, broker.search_foreign)
        self._in_doubt = False  # a call failed: Redis may have given us messages in an answer that was lost
        broker.add_consumer(queue_name, self)

    def wake(self, priority: int | None = None) -> None:
        if priority is not None and self._slots.urgent_waits(priority):
            self._is_urgent = True
        if not self._wake.is_set():  # busy threads call this for each job
            self._wake.set()

    def urgent_began(self, priority: int) -> None:
        self._begun.append(priority)
        self._wake.set()

    def start_again(self) -> None:
        """Try again to start jobs that could not be started. For any thread."""
        if self._opened:
            self._next_start = 0.0
            self._wake.set()

    def __next__(self) -> MessageProxy | None:
        while self._begun:
            self._broker.announce_urgent(self._queue, self._begun.popleft())
        if self._is_urgent or not self._ready:
            WATCHDOG.turn()
            if not self._fetch():
                self._wake.wait(self._rest_seconds)
                return None
        return self._ready.popleft()

    def ack(self, message: MessageProxy) -> None:
        if self._forget(message):
            self._broker.wake_all()

    def nack(self, message: MessageProxy) -> None:
        """Called by Dramatiq for a message that failed for good. A job needs no dead letter: its row says so."""
        if cast("AnyMessage", message).key is None:
            self._put_aside(cast("AnyMessage", message).redis_id)
        self.ack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back jobs that will not run here, at the end of the worker process."""
        self._give_back([cast("AnyMessage", message) for message in messages])

    def close(self) -> None:
        """Give back what was taken and not yielded, and acknowledge what is done."""
        self._broker.remove_consumer(self._queue, self)
        left = [*self._ready, *self._opened]
        self._ready.clear()
        self._opened = []
        self._give_back(left)
        try:
            self._exchange(Room(0))
        except RedisUnavailableError as error:
            # The messages stay in Redis. The process that takes them finds their attempts over.
            logger.debug("Acknowledgements were lost", extra={"queue": self._queue, "reason": str(error)})

    def _fetch(self) -> bool:
        """Acknowledge what is done, take what there are slots for, and start it; True when there is a job to yield."""
        if not self._opened or self._broker.draining:
            self._poll()
        elif self._wake.is_set():
            self._wake.clear()  # otherwise `__next__` would spin until they are started
            self._next_poll = 0.0
        if self._opened and not self._broker.draining and time.monotonic() >= self._next_start:
            self._start()
        return bool(self._ready)

    def _poll(self) -> None:
        self._is_urgent = False
        woken = self._wake.is_set()
        self._wake.clear()  # before polling: a wake-up during the call must survive
        poll_is_due = time.monotonic() >= self._next_poll
        if not poll_is_due and (self._in_doubt or not (woken or self._done)):
            return
        room = Room(0) if self._broker.draining else self._slots.reserve(self.wake)
        taken, urgent_wait = 0, False
        try:
            if not (room.jobs or room.beyond or self._done or poll_is_due):
                return
            self._housekeep()
            taken, urgent_wait = self._exchange(room)
        except WrongKeyError as error:
            self._meet_wrong_key(error)
            return
        except RedisUnavailableError as error:
            self._in_doubt = True
            self._broker.redis_failed(error)
            self._failed_polls += 1
            rest = full_jitter(self._failed_polls, cap_seconds=POLL_SECONDS)
            self._next_poll = time.monotonic() + _RETRY_SECONDS + rest
            return
        finally:
            self._slots.confirm(room.jobs, taken, urgent_wait=urgent_wait)
        self._wrong_keys = self._failed_polls = 0
        self._key_errors.succeeded()
        self._broker.redis_works()

    def _meet_wrong_key(self, error: WrongKeyError) -> None:
        """A key of the wrong type stops this queue only."""
        self._key_errors.failed(self._broker.named(error, self._queue))
        self._in_doubt = True  # so that wake-ups do not cut the rest short
        self._wrong_keys += 1
        rest = full_jitter(self._wrong_keys, base_seconds=_WRONG_KEY_FIRST_SECONDS, cap_seconds=_WRONG_KEY_REST_SECONDS)
        self._next_poll = time.monotonic() + _RETRY_SECONDS + rest

    def _exchange(self, room: Room) -> tuple[int, bool]:
        """One call to Redis; how many jobs wait to be started after it, and whether more urgent ones may be left."""
        with self._lock:
            done, self._done = self._done, []
        try:
            others_first, urgent_wait, *taken = self._broker.exchange(self._queue, room, done)
        except RedisUnavailableError:
            with self._lock:
                self._done = done + self._done
            raise
        for i in range(0, len(taken), 3):
            self._opened += self._open(*taken[i : i + 3])
        self._is_new = True
        # A full answer hints at more messages; after an empty one a wake-up or the poll is awaited.
        more = 0 < room.jobs <= len(self._opened)
        self._next_poll = 0.0 if more and self._slots.has_free() else time.monotonic() + POLL_SECONDS
        if others_first and self._foreign.search():
            self._next_poll = 0.0
        elif others_first:
            self._next_poll = min(self._next_poll, self._foreign.next_at)
        return len(self._opened), bool(urgent_wait)

    def _open(self, name: bytes, data: bytes, priority: int) -> list[AnyMessage]:
        redis_id = name.decode("utf-8", "replace")
        try:
            messages = self._broker.intake.open(data, self._queue, redis_id)
        except BadMessageError as error:
            logger.warning(
                "Message refused", extra={"queue": self._queue, "reason": error.reason, "messageId": redis_id[:80]}
            )
            self._broker.intake.rejected(error, data)
            self._put_aside(name)  # the id as it came: it may not be text
            self.wake()  # good messages may follow it
            return []
        for message in messages:
            message.urgency = priority
        with self._lock:
            self._out[redis_id] = len(messages)
        return messages

    def _start(self) -> None:
        opened, later = self._next_to_start()
        try:
            ready, again = self._broker.intake.start(opened)
        except BridgeError as error:
            self._start_errors.failed(error)
            self._failed_starts += 1
            rest = full_jitter(self._failed_starts, cap_seconds=error.rest_most_seconds)
            self._next_start = time.monotonic() + _RETRY_SECONDS + rest
            return
        self._start_errors.succeeded()
        self._failed_starts = 0
        self._opened = again + later
        if again and not later:
            self._next_start = time.monotonic() + _START_AGAIN_SECONDS
        if len(ready) + len(again) < len(opened):
            kept = set(map(id, [*ready, *again]))
            for message in opened:
                if id(message) not in kept:
                    self._forget(message)
            self.wake()
        before = list(self._ready)
        self._ready = deque(sorted([*before, *ready], key=_urgency, reverse=True) if before else ready)

    def _next_to_start(self) -> tuple[list[AnyMessage], list[AnyMessage]]:
        """Of a new fetch those that overtake what waits here, for they begin sooner alone; and the others."""
        is_new, self._is_new = self._is_new, False
        highest = max(map(_urgency, self._opened))
        is_mixed = is_new and highest > min(map(_urgency, self._opened))
        if not is_mixed or not self._slots.overtakes(highest) or any(is_isolated(one.redis_id) for one in self._opened):
            return self._opened, []
        first = [message for message in self._opened if message.urgency == highest]
        return first, [message for message in self._opened if message.urgency != highest]

    def _forget(self, message: Any) -> bool:
        """One job is done; True when it is worth asking Redis for more."""
        redis_id = message.redis_id
        with self._lock:
            left = self._out.get(redis_id, 1) - 1
            if left > 0:
                self._out[redis_id] = left
            else:
                self._out.pop(redis_id, None)
                self._done.append(redis_id)
        return self._slots.release()

    def _put_aside(self, redis_id: str | bytes) -> None:
        """Move a message to the dead letters; not repeated when that fails."""
        try:
            self._broker.do_nack(self._queue, redis_id)
        except RedisUnavailableError as error:
            logger.debug("A dead letter was lost", extra={"queue": self._queue, "reason": str(error)})

    def _give_back(self, messages: Sequence[AnyMessage]) -> None:
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
        """Put back on the queue the messages of dead processes, and those that came in an answer that was lost."""
        if self._in_doubt:
            with self._lock:
                known = set(self._out) | set(self._done)
            self._broker.requeue_unknown(self._queue, known)
            self._in_doubt = False
        self._housekeeping.step()

"""Pending rows → messages: claims what workers can start soon, and publishes it to them."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from bridge.dispatch.capacity import Capacity, Crowd
from bridge.dispatch.claim_window import ClaimWindow
from bridge.dispatch.closed_queues import ClosedQueues
from bridge.dispatch.hand_over import HandOver
from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.dispatch.overtaking import Overtaking, Room
from bridge.dispatch.refusals import Claims
from bridge.dispatch.throughput import Throughput
from bridge.errors import PostgresUnavailableError, RedisUnavailableError, WrongKeyError
from bridge.job import Claim
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.queue_rows import LOWEST_PRIORITY
from bridge.runtime.kill_points import kill_point
from bridge.transport import freed
from bridge.transport.freed import FreedSlots
from bridge.transport.publisher import Publisher

BATCH = 500  # jobs in one claim: many enough for few round trips, few enough for short locks
# With _DEEP jobs ahead (see throughput.py: a fifth of a second's work) workers do not run dry during a pause of a tenth
# of that time, and the claim after it is larger: fewer claims cost less.
_DEEP, _PAUSE_SECONDS = 100, 0.02
_DUE_CHECK_SECONDS = 0.25  # between queries for the next due job: bounds their cost, and how late a new one is noticed
_DUE_REST_SECONDS = 0.01  # at least: a job that is due but cannot be claimed must not make the loop spin
_RECOUNT_POLL_SECONDS = 1.0  # as often as a count is due: a message about a freed slot may have been lost
_BUSY_REST_SECONDS = 1.0  # while jobs move, a lost notification costs no more, however long POLL_INTERVAL_MS is


class Dispatcher:
    """One step claims a batch and publishes it. New jobs and freed slots wake its loop; it also polls."""

    def __init__(
        self,
        queue: JobQueue,
        publisher: Publisher,
        on_unanswered: Callable[[], None] = lambda: None,
        throughput: Throughput | None = None,
        on_worker_started: Callable[[], None] = lambda: None,
        hand_over_times: HandOverTimes | None = None,
        *,
        name: str,
        lease_seconds: float,
        poll_seconds: float,
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._on_unanswered = on_unanswered  # the connection broke before a claim answered: it may have been made
        self._name = name
        self._claims = Claims(queue, name=name, lease=timedelta(seconds=lease_seconds), limit=BATCH)
        self._poll_seconds = poll_seconds
        self._throughput = throughput or Throughput()
        self._capacity = Capacity(name, on_worker_started)
        self._window = ClaimWindow()
        self._closed = ClosedQueues(publisher.check_queue)
        times = hand_over_times or HandOverTimes()
        self._hand_over = HandOver(queue, publisher, self._capacity, self._throughput, self._closed, times, name=name)
        self._overtaking = Overtaking(queue.unstarted)
        self._due_checked_at = 0.0
        self._next_claim = 0.0
        self._redis_is_ready = True

    def on_message(self, text: str | None) -> bool:
        """A message of the channel of freed slots; True when it frees some. Called from a thread of its own."""
        message = freed.parse(text)
        if isinstance(message, FreedSlots):
            self._throughput.on_freed(message, time.monotonic())
            self._capacity.on_freed(message)
            return True
        if message is not None:
            self._capacity.on_handed_over(message)
        return False

    def job_inserted(self, priority: int | None) -> None:
        """A hint: a job of this priority may be there. For any thread; wake the loop after it."""
        lowest = self._hand_over.lowest
        if priority is not None and lowest is not None and priority > lowest:
            self._overtaking.hint(priority)

    def request_count(self) -> None:
        """Slots or jobs changed in a way that no message reports."""
        self._capacity.request_count()

    def close_queues(self, error: WrongKeyError) -> None:
        """Log that nothing can be published to these queues for now, and claim nothing for them. For any thread."""
        self._closed.close(error)

    def step(self) -> float:
        """Hand over one batch; the seconds to rest until the next step."""
        try:
            if not self._redis_is_ready:
                self._publisher.check()  # before claiming: what cannot be handed over stays pending
                self._redis_is_ready = True
            self._hand_over.go_on()
            rest = self._claim_and_hand_over()
        except RedisUnavailableError:
            self._redis_is_ready = False
            raise
        return min(rest, self._hand_over.seconds_to_next_look())

    def finish(self) -> None:
        """Hand over what is claimed and was kept back, after the last step."""
        self._hand_over.finish()

    def _claim_and_hand_over(self) -> float:
        now = time.monotonic()
        ahead = self._throughput.ahead(now, self._capacity.slots())
        pause = 0.0 if self._overtaking.is_hinted else self._next_claim - now
        if pause > 0 and sum(ahead.values()) >= _DEEP:
            return pause
        available = self._available(ahead)
        if (not available or self._capacity.count_is_requested()) and self._count_if_due(now):
            available = self._available(ahead)
        rooms = self._overtaking.rooms(available, self._hand_over.floors(), self._crowds(available), now)
        asked_at = time.monotonic()
        claims = self._claim(rooms) if rooms else []
        if claims:
            kill_point("claim.committed")
            self._overtaking.claimed(claims)
            self._hand_over.begin(claims, asked_at)
        self._count_if_due(now)  # where there was room without it, jobs need not wait for it
        if len(claims) == BATCH:
            return 0.0  # a full batch hints at more
        if rooms and self._claims.found_refused:
            return 0.0  # claimable jobs may come after them
        if not available:
            return min(self._rest(busy=True), _RECOUNT_POLL_SECONDS)
        self._next_claim = time.monotonic() + _PAUSE_SECONDS
        return self._rest(busy=bool(claims))

    def _available(self, ahead: Mapping[str, int]) -> dict[str, int]:
        return self._closed.open_among(self._capacity.available(ahead))

    def _crowds(self, available: Mapping[str, int]) -> dict[str, Crowd]:
        return self._closed.open_among(self._capacity.crowds(available))

    def _claim(self, rooms: Mapping[str, Room]) -> list[Claim]:
        began = time.monotonic()
        full = self._window.full_scan_is_due(began)
        latest = self._queue.latest_seq() if full and self._window.is_slow else None
        spans = [
            span.from_priority(rooms[span.queue].floor)
            for span in self._window.spans({queue: room.jobs for queue, room in rooms.items()}, full=full)
        ]
        try:
            claims = self._claims.take(spans)
        except PostgresUnavailableError:
            self._on_unanswered()
            raise
        if full:
            now = time.monotonic()
            emptied = latest if len(claims) < BATCH else None
            whole = {queue: room.jobs for queue, room in rooms.items() if room.floor == LOWEST_PRIORITY}
            self._window.scanned_all(claims, whole, took=now - began, latest=emptied, now=now)
        else:
            self._window.scanned(claims)
        return claims

    def _count_if_due(self, now: float) -> bool:
        if not self._capacity.count_is_due(now):
            return False
        began = time.monotonic()
        queues = self._queue.queue_room()
        counted = time.monotonic()
        self._capacity.counted(queues, now=counted, took=counted - began)
        return True

    def _rest(self, *, busy: bool) -> float:
        # A short scan may have missed jobs.
        busy = busy or self._window.is_slow
        rest = min(self._poll_seconds, _BUSY_REST_SECONDS) if busy else self._poll_seconds
        rest = min(rest, self._closed.seconds_to_next_check())
        now = time.monotonic()
        if now - self._due_checked_at < _DUE_CHECK_SECONDS:
            return min(rest, _DUE_CHECK_SECONDS)
        self._due_checked_at = now
        next_due = self._queue.seconds_to_next_due()
        least = _DUE_CHECK_SECONDS if self._claims.some_refused else _DUE_REST_SECONDS  # what is refused stays due
        return rest if next_due is None else min(rest, max(next_due, least))

"""Sends notifications of new jobs for the transactions that insert them, while these are many.

A transaction that notifies holds a lock of the whole server while its commit waits for the disk: so they commit one by
one. While a bridge promises to relay, they leave their notifications in a table instead. What a promise costs is time,
about _LEAST_REST_SECONDS for each job, so it is made only where there are many.
"""

import time
from collections import deque
from datetime import timedelta

from bridge.postgres.notification_outbox import NotificationOutbox, RelayState

# So many notifications within _START_SECONDS are many, and then stay so within _STAY_SECONDS. It is less than what the
# lock allows where the disk takes nine milliseconds for a commit.
_MANY, _START_SECONDS, _STAY_SECONDS = 50, 0.5, 0.75
# If this bridge dies, the jobs inserted meanwhile wait for so long, and until another bridge looks.
_PROMISE_SECONDS, _STANDBY_SECONDS = 1.0, 0.5
_RENEW_SECONDS = 0.5  # before the promise ends
_BATCH = 5_000  # jobs in one transaction
_LEAST_REST_SECONDS, _MOST_REST_SECONDS = 0.005, 0.02  # while a promise holds: the wait of a job
_RESTS = 8  # times as long as it worked: more of them at once cost less, and the machine has other work
_VACUUM_JOBS = 5_000  # so many dead rows take about a millisecond to read
# A transaction that began under a promise and is still open: its job waits, once committed, for a tenth of the time
# since the promise ended, and no longer than this.
_TAIL_SHARE, _TAIL_MOST_SECONDS = 10, 1.0
_IDLE_SECONDS = 10.0  # while no bridge relays: what wakes this loop is a notification


class NotificationRelay:
    """Every bridge has one, and one at a time promises. The others stand by."""

    def __init__(self, outbox: NotificationOutbox, *, name: str) -> None:
        self._outbox = outbox
        self._name = name
        self._heard: deque[float] = deque([float("-inf")] * _MANY, maxlen=_MANY)
        self._promised_until = self._next_look = float("-inf")
        self._state = RelayState(drained=False)  # a bridge that is gone may have promised
        self._tail_since: float | None = None
        self._dead = 0

    def heard(self) -> bool:
        """A notification of one new job came, sent by whomever. For any thread; True: wake the loop."""
        now = time.monotonic()
        self._heard.append(now)
        return now >= self._next_look and self._are_many(now, _STAY_SECONDS)

    def step(self) -> float:
        """Promise, or see whether another one has, then send what inserts left; the seconds to rest."""
        now = time.monotonic()
        self._next_look = now + _STANDBY_SECONDS
        promises = self._promise(now)
        if not promises and (not self._state.drained or self._are_many(now, _STAY_SECONDS)):
            self._state = self._outbox.state(self._state.after)
        began = time.monotonic()
        sent = self._outbox.send(limit=_BATCH)
        took = time.monotonic() - began
        self._vacuum(sent)
        if sent == _BATCH:
            return 0.0
        if sent and self._state.drained:
            self._state = RelayState(drained=False)  # there was a promise that was not seen here
        return self._rest(now, min(_MOST_REST_SECONDS, _RESTS * took), promises=promises)

    def finish(self) -> None:
        """Take the promise back, and send what is left, after the last step."""
        if self._promised_until > time.monotonic():
            self._outbox.promise(self._name, time=timedelta(0))
            self._outbox.send(limit=_BATCH)

    def _promise(self, now: float) -> bool:
        """Whether a promise of ours holds; renews it in time."""
        holds = now < self._promised_until
        if now < self._promised_until - _RENEW_SECONDS:
            return True
        if not self._are_many(now, _STAY_SECONDS if holds else _START_SECONDS):
            return holds
        if not self._outbox.promise(self._name, time=timedelta(seconds=_PROMISE_SECONDS)):
            return holds
        self._promised_until = time.monotonic() + _PROMISE_SECONDS  # no earlier than by the database's clock
        self._state = RelayState(promised=True, drained=False)
        return True

    def _vacuum(self, sent: int) -> None:
        self._dead += sent
        if self._dead >= _VACUUM_JOBS:
            self._dead = 0
            self._outbox.vacuum()

    def _are_many(self, now: float, seconds: float) -> bool:
        return now - self._heard[0] <= seconds

    def _rest(self, now: float, least: float, *, promises: bool) -> float:
        least = max(_LEAST_REST_SECONDS, least)
        if promises or self._state.promised or self._state.drained:
            self._tail_since = None
            return least if promises else _STANDBY_SECONDS if self._state.promised else _IDLE_SECONDS
        if self._tail_since is None:
            self._tail_since = now
        return min(_TAIL_MOST_SECONDS, max(least, (now - self._tail_since) / _TAIL_SHARE))

"""Reads the events of all sessions that somebody follows, in one statement for all of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from bridge.errors import BridgeError
from bridge.runtime.backoff import LEAST_REST_SECONDS, full_jitter
from bridge.runtime.outages import ErrorReporter

# Between two readings while somebody waits for events: text arrives within 150 ms of being stored, and Postgres sees
# ten small statements a second, however many follow.
READ_SECONDS = 0.1
EVENTS_AT_ONCE = 200  # of each session: bounds what a stream holds in memory

Event = dict[str, Any]
# Takes {session: number of the last event seen}; gives the events behind, of each session in order.
ReadEvents = Callable[[dict[UUID, int]], list[Event]]


@dataclass(eq=False, slots=True)
class Follower:
    """One stream: which session it follows, how far it has come, and what it has not taken yet."""

    session: UUID
    seen: int
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    events: list[Event] = field(default_factory=list)
    ended: bool = False  # this process stops: the client goes on with the next one

    def take(self) -> list[Event]:
        """What has arrived since the last call. While a stream sends it, nothing is read for this stream."""
        taken, self.events = self.events, []
        self.arrived.clear()
        return taken


class Feed:
    """Reads while somebody follows, and rests otherwise. Belongs to one event loop; `read` runs in a thread.

    Each follower says up to which number it has seen its session, so whoever comes, comes back or was slow gets what
    is missing, once and in order.
    """

    def __init__(self, read: ReadEvents) -> None:
        self._read = read
        self._followers: set[Follower] = set()
        self._errors = ErrorReporter(
            "session events",
            "Session events cannot be read, trying again: {}".format,
            "Session events can be read again",
        )
        self._reading: asyncio.Task[None] | None = None

    def follow(self, session: UUID, seen: int) -> Follower:
        follower = Follower(session, seen)
        self._followers.add(follower)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_on())
        return follower

    def leave(self, follower: Follower) -> None:
        self._followers.discard(follower)

    def close(self) -> None:
        """End all streams, which the end of the process waits for."""
        for follower in self._followers:
            follower.ended = True
            follower.arrived.set()
        self._followers.clear()

    async def _read_on(self) -> None:
        failures = 0
        while self._followers:
            try:
                pause = 0.0 if await self._read_once() else READ_SECONDS
                failures = 0
                self._errors.succeeded()
            except BridgeError as error:
                failures += 1
                pause = LEAST_REST_SECONDS + full_jitter(failures)
                self._errors.failed(error)
            await asyncio.sleep(pause)
        self._errors.close()

    async def _read_once(self) -> bool:
        """Give each follower that waits what has come for it. Returns whether there may be more at once."""
        waiting = [follower for follower in self._followers if not follower.events]
        if not waiting:
            return False
        seen: dict[UUID, int] = {}
        for follower in waiting:
            seen[follower.session] = min(follower.seen, seen.get(follower.session, follower.seen))
        events = await asyncio.to_thread(self._read, seen)
        by_session: dict[UUID, list[Event]] = {}
        for event in events:
            by_session.setdefault(event["session_id"], []).append(event)
        for follower in waiting:
            self._give(follower, by_session.get(follower.session, []))
        return any(len(found) >= EVENTS_AT_ONCE for found in by_session.values())

    def _give(self, follower: Follower, events: list[Event]) -> None:
        new = [event for event in events if event["seq"] > follower.seen]
        if new:
            follower.seen = new[-1]["seq"]
            follower.events = new
            follower.arrived.set()

"""Reads the events of all sessions that somebody follows, in one statement for all of them."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from bridge.errors import BridgeError

logger = logging.getLogger(__name__)

# Between two readings while somebody waits for events: an eye sees no delay, and Postgres five small statements a
# second, however many follow.
READ_SECONDS = 0.2
_FAILED_SECONDS, _FAILED_MOST_SECONDS = 0.5, 5.0  # the pause after a failed reading, doubled each time
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
        failed_seconds = _FAILED_SECONDS
        while self._followers:
            try:
                has_more = await self._read_once()
                failed_seconds = _FAILED_SECONDS
                pause = 0.0 if has_more else READ_SECONDS
            except BridgeError as error:
                logger.warning("Session events cannot be read, trying again: %s", error)
                pause, failed_seconds = failed_seconds, min(2 * failed_seconds, _FAILED_MOST_SECONDS)
            await asyncio.sleep(pause)

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

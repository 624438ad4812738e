"""Followers get each event once and in order, whatever fails, and whoever is slow."""

import asyncio
import logging
from uuid import UUID

import pytest

from bridge.errors import BridgeError, PostgresRefusedError, PostgresUnavailableError
from bridge.runtime.outages import OPEN_OUTAGES
from bridge.web.streams import feed
from bridge.web.streams.feed import Event, Feed, Follower

ONE, OTHER = UUID(int=1), UUID(int=2)


class Stored:
    """Events as Postgres would give them, and what was asked."""

    def __init__(self) -> None:
        self.last = {ONE: 0, OTHER: 0}
        self.asked: list[dict[UUID, int]] = []
        self.failures = 0
        self.error: BridgeError = PostgresUnavailableError("Postgres is away")

    def read(self, seen: dict[UUID, int]) -> list[Event]:
        self.asked.append(dict(seen))
        if self.failures:
            self.failures -= 1
            raise self.error
        return [
            {"session_id": session, "seq": seq}
            for session, after in seen.items()
            for seq in range(after + 1, min(self.last[session], after + feed.EVENTS_AT_ONCE) + 1)
        ]


async def taken(follower: Follower, count: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            await follower.arrived.wait()
            found += [event["seq"] for event in follower.take()]
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "READ_SECONDS", 0.001)
    monkeypatch.setattr(feed, "LEAST_REST_SECONDS", 0.001)


def test_each_follower_gets_what_it_has_not_seen() -> None:
    async def scene() -> None:
        stored = Stored()
        stored.last[ONE] = 3
        events = Feed(stored.read)
        new, returning, other = events.follow(ONE, 0), events.follow(ONE, 2), events.follow(OTHER, 0)

        assert await taken(new, 3) == [1, 2, 3]
        assert await taken(returning, 1) == [3]
        stored.last = {ONE: 4, OTHER: 1}
        assert await taken(new, 1) == [4]
        assert await taken(returning, 1) == [4]
        assert await taken(other, 1) == [1]

    asyncio.run(scene())


def test_a_long_history_comes_whole() -> None:
    async def scene() -> None:
        stored = Stored()
        stored.last[ONE] = 3 * feed.EVENTS_AT_ONCE + 1
        assert await taken(Feed(stored.read).follow(ONE, 0), stored.last[ONE]) == list(range(1, stored.last[ONE] + 1))

    asyncio.run(scene())


def test_nothing_is_read_for_a_follower_that_has_not_taken_its_events() -> None:
    async def scene() -> None:
        stored = Stored()
        stored.last[ONE] = 1
        events = Feed(stored.read)
        slow, quick = events.follow(ONE, 0), events.follow(OTHER, 0)
        await slow.arrived.wait()
        stored.last = {ONE: 2, OTHER: 1}
        asked = len(stored.asked)
        assert await taken(quick, 1) == [1]

        assert all(ONE not in seen for seen in stored.asked[asked + 1 :])
        assert await taken(slow, 2) == [1, 2]

    asyncio.run(scene())


def test_a_failed_reading_is_made_good_and_the_outage_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scene() -> None:
        stored = Stored()
        stored.failures = 3
        stored.last[ONE] = 1
        assert await taken(Feed(stored.read).follow(ONE, 0), 1) == [1]

    asyncio.run(scene())

    assert caplog.messages == ["Postgres is unreachable, trying again until it is over", "Postgres is back"]


def test_a_refused_reading_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        stored = Stored()
        stored.failures, stored.error = 3, PostgresRefusedError("it is refused")
        stored.last[ONE] = 1
        assert await taken(Feed(stored.read).follow(ONE, 0), 1) == [1]

    caplog.set_level(logging.INFO)
    asyncio.run(scene())

    assert caplog.messages == [
        "Session events cannot be read, trying again: it is refused", "Session events can be read again",
    ]  # fmt: skip


def test_who_leaves_during_an_outage_does_not_keep_it_open() -> None:
    asked: list[int] = []

    async def scene() -> None:
        def read(seen: dict[UUID, int]) -> list[Event]:
            asked.append(seen[ONE])
            if len(asked) == 3:
                followed.leave(follower)
            raise PostgresUnavailableError("Postgres is away")

        followed = Feed(read)
        follower = followed.follow(ONE, 0)
        assert followed._reading is not None
        async with asyncio.timeout(10):
            await followed._reading

    asyncio.run(scene())

    assert len(asked) == 3
    assert not any(OPEN_OUTAGES._met_by.values())


def test_nothing_is_read_while_nobody_follows() -> None:
    async def scene() -> None:
        stored = Stored()
        stored.last[ONE] = 1
        events = Feed(stored.read)
        follower = events.follow(ONE, 0)
        assert await taken(follower, 1) == [1]
        events.leave(follower)
        assert events._reading is not None
        async with asyncio.timeout(10):
            await events._reading  # what a thread has begun to read
        asked = len(stored.asked)
        await asyncio.sleep(0.02)

        assert len(stored.asked) == asked
        stored.last[ONE] = 2
        assert await taken(events.follow(ONE, 1), 1) == [2]

    asyncio.run(scene())


def test_the_end_of_the_process_ends_all_streams() -> None:
    async def scene() -> None:
        events = Feed(Stored().read)
        follower = events.follow(ONE, 0)
        events.close()

        assert follower.ended
        assert follower.arrived.is_set()

    asyncio.run(scene())

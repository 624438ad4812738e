"""The live stream of the pages: one sampler for all tabs, and none while nobody looks."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from bridge.web.access.visitors import Visitor
from bridge.web.overview import State
from bridge.web.streams import live, server_sent
from bridge.web.streams.live import TABS_MOST, Live
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.support.web import EventStream, WebProcess, bearer


@pytest.fixture
def tabs(web: WebProcess) -> Iterator[list[EventStream]]:
    opened: list[EventStream] = []
    yield opened
    for one in opened:
        one.close()
    assert "Traceback" not in web.log


def opened(tabs: list[EventStream], web: WebProcess, head: bytes = b"") -> EventStream:
    tabs.append(EventStream(web, "/live", head))
    return tabs[-1]


def shows(tab: EventStream, completed: int) -> dict[str, Any]:
    while True:
        (event,) = tab.events(1)
        if event["counts"]["completed"] == completed:
            return event


def test_each_tab_shows_a_commit_within_a_second(web: WebProcess, rows: Rows, tabs: list[EventStream]) -> None:
    streams = [opened(tabs, web) for _ in range(3)]
    for stream in streams:
        shows(stream, 0)

    began = time.monotonic()
    rows.add_job(status="completed")
    for stream in streams:
        shows(stream, 1)

    assert time.monotonic() - began < 2, "half a second, on a quiet machine"
    assert "gzip" not in streams[0].head


def test_a_tab_that_comes_back_is_told_only_what_has_changed(
    web: WebProcess, rows: Rows, tabs: list[EventStream]
) -> None:
    rows.add_job(status="completed")
    seen = shows(opened(tabs, web), 1)["last"]

    back = opened(tabs, web, f"Last-Event-ID: {seen}\r\n".encode())
    rows.add_job(status="completed")

    assert back.events(1)[0]["counts"]["completed"] == 2


def test_without_a_login_and_with_the_token_of_a_user_nobody_looks(web: WebProcess, closed_web: WebProcess) -> None:
    for process, head, status in ((closed_web, b"", 401), (web, bearer(), 403)):
        stream = EventStream(process, "/live", head)
        assert stream.status == status
        stream.close()


def test_too_many_tabs_are_told_to_come_back(web: WebProcess, tabs: list[EventStream]) -> None:
    for _ in range(TABS_MOST):
        assert opened(tabs, web).status == 200
    refused = opened(tabs, web)
    assert refused.status == 503
    assert "retry-after: 10" in refused.head.lower()
    assert web.say(b"GET /live.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[0] == 200

    tabs.pop(0).close()
    eventually(lambda: opened(tabs, web).status == 200, seconds=10, what="a place that was left")


class Readings:
    """States as they would be read, and how often that was."""

    def __init__(self) -> None:
        self.number = 0
        self.count = 0
        self.fails = False

    def __call__(self) -> State:
        self.count += 1
        if self.fails:
            self.fails = False
            raise RuntimeError("unforeseen")
        return State(str(self.number), str(self.number), {})


class Anybody:
    def visitor(self, _: Request) -> Any:

        return Visitor(None, "dashboard", datetime.now(UTC) + timedelta(hours=1))


@asynccontextmanager
async def texts(one: Live, seen: str | None = None) -> AsyncIterator[AsyncIterator[str]]:
    headers = [(b"last-event-id", seen.encode())] if seen else []
    answer = await one.answer(Request({"type": "http", "headers": headers}))
    assert isinstance(answer, StreamingResponse)
    iterator: Any = answer.body_iterator
    assert (await anext(iterator)).startswith("retry: ")
    try:
        yield iterator
    finally:
        await iterator.aclose()


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    monkeypatch.setattr(live, "SAMPLE_SECONDS", 0.001)
    return Readings()


def test_nothing_is_read_while_nobody_looks(readings: Readings) -> None:
    async def look() -> None:
        one = Live(readings, Anybody())  # type: ignore[arg-type]
        async with texts(one) as first, texts(one) as second:
            assert await anext(first) == await anext(second) == "id: 0\ndata: 0\n\n"
        assert one._sampling is not None
        async with asyncio.timeout(10):
            await one._sampling  # what a thread has begun to read
        count = readings.count
        await asyncio.sleep(0.05)
        assert readings.count == count, "nobody looks"
        readings.number = 1
        async with texts(one) as third:
            assert await anext(third) == "id: 1\ndata: 1\n\n"

    asyncio.run(look())


def test_a_slow_tab_gets_the_newest_state_and_no_other(readings: Readings) -> None:
    async def look() -> None:
        one = Live(readings, Anybody())  # type: ignore[arg-type]
        async with texts(one) as slow, texts(one) as quick:
            await anext(slow)
            await anext(quick)
            for number in range(1, 4):
                readings.number = number
                assert await anext(quick) == f"id: {number}\ndata: {number}\n\n"
            assert await anext(slow) == "id: 3\ndata: 3\n\n"

    asyncio.run(look())


def test_an_unforeseen_error_does_not_end_the_figures(readings: Readings, caplog: pytest.LogCaptureFixture) -> None:
    async def look() -> None:
        readings.fails = True
        async with texts(Live(readings, Anybody())) as tab:  # type: ignore[arg-type]
            assert await anext(tab) == "id: 0\ndata: 0\n\n"

    asyncio.run(look())
    assert "trying again" in caplog.text


def test_a_tab_without_news_sees_that_the_process_lives(readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent, "_HEARTBEAT_SECONDS", 0.01)

    async def look() -> None:
        async with texts(Live(readings, Anybody()), seen="0") as tab:  # type: ignore[arg-type]
            assert await anext(tab) == "event: alive\ndata: {}\n\n", "a comment is no event in a browser"

    asyncio.run(look())


def test_a_stop_ends_each_stream(readings: Readings) -> None:
    async def look() -> None:
        one = Live(readings, Anybody())  # type: ignore[arg-type]
        async with texts(one) as tab:
            await anext(tab)
            one.close()
            await anext(tab, None)
            with pytest.raises(StopAsyncIteration):
                await anext(tab)

    asyncio.run(look())


def test_the_places_are_counted(readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TABS_MOST", 1)

    async def look() -> None:
        one = Live(readings, Anybody())  # type: ignore[arg-type]
        async with texts(one):
            with pytest.raises(HTTPException, match="503"):
                await one.answer(Request({"type": "http", "headers": []}))

    asyncio.run(look())

"""GET /live: what the pages show, as it changes: one stream for each open tab, and one sampler for all of them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bridge.web.access.visitors import Visitors
from bridge.web.overview import SAMPLE_SECONDS, State
from bridge.web.streams.server_sent import RECONNECT, arrival, stream

logger = logging.getLogger(__name__)

# With the streams of sessions they leave connections for pages and probes (slow_clients.py). Further tabs poll.
TABS_MOST = 60
_ALIVE = "event: alive\ndata: {}\n\n"  # not a comment: browsers tell a page of none, and it knows by this that we live
_RETRY_SECONDS = 10  # for who is turned away: meanwhile some tabs are closed


class Live:
    """Samples while a tab is open, and rests otherwise. Belongs to one event loop; `read` runs in a thread.

    A tab that is slow gets the newest state when it can take one, not each that it missed: nothing piles up for it.
    """

    def __init__(self, read: Callable[[], State], visitors: Visitors) -> None:
        self._read = read
        self._visitors = visitors
        self._tabs: set[asyncio.Event] = set()
        self._state: State | None = None
        self._sampling: asyncio.Task[None] | None = None
        self._is_ended = False

    async def answer(self, request: Request) -> Response:
        visitor = self._visitors.visitor(request)
        if visitor.user is not None:
            raise HTTPException(HTTPStatus.FORBIDDEN, "A user's token opens the streams of its sessions only")
        if len(self._tabs) >= TABS_MOST:
            again = {"Retry-After": str(_RETRY_SECONDS)}
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "Too many open tabs: this one polls", again)
        return stream(self._texts(request.headers.get("Last-Event-ID"), visitor.until))

    def close(self) -> None:
        """End all streams, which the end of the process waits for."""
        self._is_ended = True
        for tab in self._tabs:
            tab.set()

    async def _texts(self, seen: str | None, until: datetime) -> AsyncIterator[str]:
        tab = asyncio.Event()
        self._tabs.add(tab)
        if self._sampling is None or self._sampling.done():
            self._state = None  # it is of the last time that somebody looked
            self._sampling = asyncio.create_task(self._sample())
        elif self._state is not None:
            tab.set()
        try:
            yield RECONNECT
            while not self._is_ended and datetime.now(UTC) < until:
                await arrival(tab)
                tab.clear()
                state = self._state
                if state is None or state.id == seen:
                    yield _ALIVE
                else:
                    seen = state.id
                    yield f"id: {state.id}\ndata: {state.text}\n\n"
        finally:
            self._tabs.discard(tab)

    async def _sample(self) -> None:
        while self._tabs:
            try:
                self._show(await asyncio.to_thread(self._read))
            except Exception:
                logger.exception("The live figures cannot be read, trying again")
            await asyncio.sleep(SAMPLE_SECONDS)

    def _show(self, state: State) -> None:
        if self._state is None or state.id != self._state.id:
            self._state = state
            for tab in self._tabs:
                tab.set()

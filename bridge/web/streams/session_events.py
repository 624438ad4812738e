"""GET /sessions/<id>/events: the events of a session as they are stored, for its owner and for the dashboard."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bridge.errors import BridgeError
from bridge.web.access.visitors import Visitor, Visitors
from bridge.web.services import Services
from bridge.web.streams.feed import EVENTS_AT_ONCE, Event, Feed, Follower
from bridge.web.streams.server_sent import RECONNECT, arrival, stream, written

logger = logging.getLogger(__name__)

# Of one visitor: the phones and tabs of a person. Of all: leaves connections for pages and probes (slow_clients.py).
STREAMS_OF_ONE, STREAMS_OF_ALL = 20, 1000
_RETRY_SECONDS = 10  # for who is turned away: meanwhile some streams end
# Web builds of the app call from another origin, which is safe with a user's token only: in development, the dashboard
# asks for no cookie, and any page in the developer's browser could read the stream.
_OTHER_ORIGINS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, x-client-info, apikey, last-event-id",
}
_LARGEST_NUMBER = 2**63 - 1  # Postgres' largest bigint


class SessionEvents:
    def __init__(self, services: Services, visitors: Visitors) -> None:
        self._services = services
        self._visitors = visitors
        self._open: Counter[str] = Counter()
        self.feed = Feed(self._read)

    def _read(self, seen: dict[UUID, int]) -> list[Event]:
        asked = {"sessions": list(seen), "afters": list(seen.values()), "limit": EVENTS_AT_ONCE}
        return self._services.pool.call("follow_sessions", asked)

    async def answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=_OTHER_ORIGINS)
        visitor = self._visitors.visitor(request)
        if visitor.user is None and self._services.settings.hide_prompts:
            raise HTTPException(HTTPStatus.FORBIDDEN, "Events are hidden (HIDE_PROMPTS), but for the session's user")
        session = _session_id(request.path_params["session_id"])
        seen = _last_event(request.headers.get("Last-Event-ID") or request.query_params.get("after"))
        await self._check_owner(visitor, session)
        self._check_room(visitor)
        origins = _OTHER_ORIGINS if visitor.user is not None else {}
        return stream(self._texts(visitor, session, seen), origins)

    async def _texts(self, visitor: Visitor, session: UUID, seen: int) -> AsyncIterator[str]:
        with self._following(visitor, session, seen) as follower:
            yield RECONNECT
            while not follower.ended and datetime.now(UTC) < visitor.until:
                await arrival(follower.arrived)
                yield "".join(map(written, follower.take())) or ": still here\n\n"

    @contextmanager
    def _following(self, visitor: Visitor, session: UUID, seen: int) -> Iterator[Follower]:
        follower = self.feed.follow(session, seen)
        self._open[visitor.name] += 1
        try:
            yield follower
        finally:
            self._open -= Counter([visitor.name])  # without the names of visitors who have left
            self.feed.leave(follower)

    async def _check_owner(self, visitor: Visitor, session: UUID) -> None:
        """Raise unless the visitor may follow the session. The answer must not confirm that another user's exists."""
        try:
            rows = await asyncio.to_thread(self._services.pool.call, "session_owner", {"session": session})
        except BridgeError as error:
            logger.warning("Stream refused: %s", error)
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "Postgres is unavailable, try again later", _retry_later()
            ) from None
        if not rows or visitor.user not in (None, rows[0]["user_id"]):
            raise HTTPException(HTTPStatus.NOT_FOUND, "Session not found or access denied")

    def _check_room(self, visitor: Visitor) -> None:
        if self._open[visitor.name] >= STREAMS_OF_ONE and visitor.user is not None:
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, "Too many open streams of this user", _retry_later())
        if self._open.total() >= STREAMS_OF_ALL:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "Too many open streams", _retry_later())


def _retry_later() -> dict[str, str]:
    return {"Retry-After": str(_RETRY_SECONDS)}


def _session_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "Invalid session ID format") from None


def _last_event(text: str | None) -> int:
    """The number behind which the events are wanted, as Last-Event-ID or `after` says it."""
    if text is None:
        return 0
    if not text.isascii() or not text.isdecimal() or int(text) > _LARGEST_NUMBER:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "Last-Event-ID must be the number of an event")
    return int(text)

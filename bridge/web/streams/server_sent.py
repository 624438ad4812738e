"""The form of server-sent events, and an answer that sends them until the client leaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import Any

from starlette.responses import StreamingResponse

from bridge.web.answers import SECURITY_HEADERS
from bridge.web.streams.feed import Event, Follower

# Proxies close a connection on which nothing comes for a minute or less.
HEARTBEAT_SECONDS = 15.0
RECONNECT_MILLISECONDS = 1000  # browsers wait so long before they come back; our clients add a growing delay

HEADERS = SECURITY_HEADERS | {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until its buffer is full
}


def stream(
    following: Callable[[], AbstractContextManager[Follower]], until: datetime, headers: Mapping[str, str]
) -> StreamingResponse:
    """Send what a follower is given until the client leaves, or must prove again who it is.

    `following` is entered when the first byte is sent: a client that has left by then follows nothing.
    """
    return StreamingResponse(_texts(following, until), media_type="text/event-stream", headers=HEADERS | dict(headers))


async def _texts(following: Callable[[], AbstractContextManager[Follower]], until: datetime) -> AsyncIterator[str]:
    with following() as follower:
        yield f"retry: {RECONNECT_MILLISECONDS}\n\n"
        while not follower.ended and datetime.now(UTC) < until:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await follower.arrived.wait()
            events = follower.take()
            yield "".join(map(written, events)) if events else ": still here\n\n"


def written(event: Event) -> str:
    """One event. Its number is the id, which a client sends back as Last-Event-ID to go on behind it."""
    data = json.dumps(shown(event), ensure_ascii=False, separators=(",", ":"))
    return f"id: {event['seq']}\ndata: {data}\n\n"


def shown(event: Event) -> dict[str, Any]:
    return {
        "seq": event["seq"],
        "id": str(event["id"]),
        "event_type": event["event_type"],
        "data": event["data"],
        "created_at": event["created_at"].isoformat(),
    }

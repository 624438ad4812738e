"""The form of server-sent events, and what the streams of them have in common."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from starlette.responses import StreamingResponse

from bridge.web.answers import SECURITY_HEADERS
from bridge.web.streams.feed import Event

# Proxies close a connection on which nothing comes for a minute or less.
_HEARTBEAT_SECONDS = 15.0
# Sent first. Browsers wait so long before they come back; our clients add a growing delay.
RECONNECT = "retry: 1000\n\n"
_HEADERS = SECURITY_HEADERS | {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until its buffer is full
}


def stream(texts: AsyncIterator[str], headers: Mapping[str, str] | None = None) -> StreamingResponse:
    """Sends `texts` until they end or the client leaves. They begin with the first byte that is sent."""
    return StreamingResponse(texts, media_type="text/event-stream", headers=_HEADERS | dict(headers or {}))


async def arrival(arrived: asyncio.Event) -> None:
    """Wait until there is something to send, but no longer than until a sign of life is due."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_HEARTBEAT_SECONDS):
            await arrived.wait()


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

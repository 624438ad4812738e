"""Reads a request whole and checks it before the pages see it, and sends their answer in pieces.

The pages run in threads, and a thread must never wait for a client: a few slow ones would occupy them all.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.web import slow_clients
from bridge.web.answers import refusal_body, refusal_headers

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024  # the longest prompt has 5000 characters, which JSON may escape with 12 bytes each
# Of a body that is too large, so much is read and thrown away: a connection that is closed while bytes wait to be read
# is reset, and the client would not see the answer.
_DISCARDED_MOST_BYTES = 1024 * 1024
_DISCARD_SECONDS = 1.0  # for what is on its way already
_HEADERS_MOST = 100  # as other servers have it: browsers and proxies send a third of it
_TARGET_MOST_BYTES = 8190  # as other servers have it: a search or a filter in an address needs a tenth of it
_PIECE_BYTES = 64 * 1024  # a client must take so much of an answer within the deadline of slow_clients.py


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, message: str | None = None) -> None:
        super().__init__(message or status.phrase)
        self.status = status


class _ClientGoneError(Exception):
    pass


class WholeRequests:
    """Calls `app` with the whole body, or answers in its place."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._serve(scope, receive, send)
        except _ClientGoneError:
            return
        except _RefusedError as error:
            await _refuse(send, error)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_head(scope)
        try:
            async with asyncio.timeout(slow_clients.REQUEST_SECONDS):
                body = await _read(receive)
        except TimeoutError:
            raise _RefusedError(HTTPStatus.REQUEST_TIMEOUT) from None
        begun = asyncio.Event()
        try:
            await self._app(_with_length(scope, body), _once(body, receive), _in_pieces(send, begun))
        except asyncio.CancelledError:  # the process stops, and has waited long enough for this page
            if not begun.is_set():
                raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping, try again") from None


def _check_head(scope: Scope) -> None:
    """Raise for a request that two servers on its way could understand in two ways, or that we cannot serve."""
    names = [name for name, _ in scope["headers"]]
    if len(scope["raw_path"]) + len(scope["query_string"]) > _TARGET_MOST_BYTES:
        raise _RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG)
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if size > slow_clients.HEAD_MOST_BYTES or len(names) > _HEADERS_MOST:
        raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if scope["http_version"] not in {"1.0", "1.1"}:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    if b"content-length" in names and b"transfer-encoding" in names:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    if any(name == b"expect" and value.lower() != b"100-continue" for name, value in scope["headers"]):
        raise _RefusedError(HTTPStatus.EXPECTATION_FAILED)


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    async for chunk in _chunks(receive):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            await _discard(receive)
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Body is larger than {MAX_BODY_BYTES // 1024} kB")
    return bytes(body)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _discard(receive: Receive) -> None:
    seen = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for chunk in _chunks(receive):
                seen += len(chunk)
                if seen > _DISCARDED_MOST_BYTES:
                    return


def _with_length(scope: Scope, body: bytes) -> Scope:
    """The request with the length of its body: without one, Flask takes a body that came in chunks for an empty one."""
    names = {b"content-length", b"transfer-encoding"}
    headers = [header for header in scope["headers"] if header[0] not in names]
    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())] if body else headers}


def _once(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body, and afterwards waits for the client's disconnect."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


def _in_pieces(send: Send, begun: asyncio.Event) -> Send:
    async def send_pieces(message: Message) -> None:
        begun.set()
        body = message.get("body", b"")
        if len(body) <= _PIECE_BYTES:
            await send(message)
            return
        for start in range(0, len(body), _PIECE_BYTES):
            is_last = start + _PIECE_BYTES >= len(body)
            piece = body[start : start + _PIECE_BYTES]
            more = message.get("more_body", False) or not is_last
            await send({**message, "body": piece, "more_body": more})

    return send_pieces


async def _refuse(send: Send, error: _RefusedError) -> None:
    logger.info("Request refused", extra={"status": error.status.value, "reason": str(error)})
    body = refusal_body(str(error))
    await send({"type": "http.response.start", "status": error.status.value, "headers": refusal_headers(body)})
    await send({"type": "http.response.body", "body": body})

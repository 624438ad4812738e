"""The web process as one ASGI app: probes on the event loop, the pages in threads behind it.

The event loop waits for nothing but sockets, so that the probes are answered whatever the pages wait for.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from bridge.settings import Settings
from bridge.web.access.visitors import Visitors
from bridge.web.answers import SECURITY_HEADERS
from bridge.web.app import create_app
from bridge.web.path_prefix import PathPrefix
from bridge.web.probes import health, liveness
from bridge.web.public_port import PublicPort
from bridge.web.streams.live import Live
from bridge.web.streams.session_events import SessionEvents
from bridge.web.whole_requests import WholeRequests

# A page takes milliseconds, so few threads are busy at once. The others are for pages that wait for Postgres.
THREADS = 16
THREAD_NAME = "WSGI"  # how the names of these threads begin
# Smaller answers fit into one packet anyway. Streams are never compressed: the events would wait in a buffer.
_COMPRESSED_LEAST_BYTES = 1000
_COMPRESSION = 5  # higher levels take several times as long for a hundredth less
_UNBOUNDED = 0  # a thread must not wait until a slow client has taken its answer, whose size the pages bound


@dataclass(frozen=True, slots=True)
class WebApp:
    """The app for a server, and what ends its streams: the server calls it first when it stops."""

    asgi: ASGIApp
    end_streams: Callable[[], None]


def create_web_app(settings: Settings) -> WebApp:
    flask = create_app(settings)
    pages = WSGIMiddleware(flask, workers=THREADS, send_queue_size=_UNBOUNDED)  # type: ignore[arg-type]
    services = flask.extensions["mobvibe"]
    visitors = Visitors(flask, flask.extensions["access"], services.token_keys)
    session_events = SessionEvents(services, visitors)
    live = Live(services.overview.state, visitors)

    @asynccontextmanager
    async def threads(_: Starlette) -> AsyncIterator[None]:
        services.token_keys.start()
        yield
        pages.executor.shutdown(wait=False, cancel_futures=True)

    app = Starlette(
        routes=[
            _probe("/livez", liveness),
            _probe("/health", health),
            _stream("/sessions/{session_id}/events", session_events.answer, "GET", "OPTIONS"),
            _stream("/live", live.answer, "GET"),
            Mount("/", app=pages),  # type: ignore[arg-type]  # other types for the same
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=_COMPRESSED_LEAST_BYTES, compresslevel=_COMPRESSION)],
        lifespan=threads,
        exception_handlers={HTTPException: _failure},
    )

    def end_streams() -> None:
        session_events.feed.close()
        live.close()

    shown = app if settings.admin_port is None else PublicPort(app, settings.admin_port)
    return WebApp(WholeRequests(PathPrefix(shown, settings.path_prefix)), end_streams)


def _failure(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {"success": False, "error": error.detail}
    return JSONResponse(body, error.status_code, headers=SECURITY_HEADERS | dict(error.headers or {}))


def _probe(path: str, answer: Callable[[], dict[str, Any]]) -> Route:
    async def endpoint(request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", headers={"Allow": "GET, HEAD"})
        return JSONResponse(answer(), headers=SECURITY_HEADERS)

    # All methods, or the others would be taken for paths of the pages, and answered 404.
    return Route(path, endpoint, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])


def _stream(path: str, answer: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
    async def endpoint(request: Request) -> Response:
        if request.method == "HEAD":  # which comes with GET: the stream would stay open, and say nothing
            raise HTTPException(
                HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", headers={"Allow": ", ".join(methods)}
            )
        return await answer(request)

    return Route(path, endpoint, methods=list(methods))

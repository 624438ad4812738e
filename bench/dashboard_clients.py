"""Clients of the web process: one asks for pages, tabs hold a stream, and some never finish a request."""

import http.client
import json
import re
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Self

_ASSET = re.compile(r'(?:src|href)="(/static/[^"]+)"')
_PATIENCE_SECONDS = 10.0
_TRICKLE_SECONDS = 0.5


class Http:
    """One connection, kept as a browser keeps it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._kept = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)

    def get(self, path: str, encoding: str = "identity") -> bytes:
        return self._get(self._kept, path, encoding)

    def timed(self, path: str, *, keep: bool = True) -> float:
        """Seconds until the whole answer is there."""
        began = time.perf_counter()
        if keep:
            self.get(path)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_SECONDS)
            self._get(connection, path, "identity")
            connection.close()
        return time.perf_counter() - began

    @staticmethod
    def _get(connection: http.client.HTTPConnection, path: str, encoding: str) -> bytes:
        headers = {"Accept-Encoding": encoding, "Accept": "text/html"}
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):  # idle for too long
            connection.close()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return body

    @staticmethod
    def assets(page: str) -> list[str]:
        """What a browser loads for a page."""
        return _ASSET.findall(page)


class Tabs:
    """So many open streams of live figures, read by one thread, which notes the pending jobs that each one shows."""

    def __init__(self, port: int, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._shown = [0] * count
        self._news = threading.Condition()
        self._is_closed = False
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for number, one in enumerate(self._sockets):
            one.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self._selector.register(one, selectors.EVENT_READ, (number, bytearray()))
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._is_closed = True
        self._thread.join()
        for one in self._sockets:
            one.close()

    def shown(self, pending: int) -> float:
        """When all tabs have shown so many pending jobs, by the monotonic clock."""
        with self._news:
            if not self._news.wait_for(lambda: min(self._shown) >= pending, _PATIENCE_SECONDS):
                raise TimeoutError(f"a tab does not show {pending} pending jobs")
            return time.monotonic()

    def _read(self) -> None:
        while not self._is_closed:
            for key, _ in self._selector.select(timeout=0.1):
                number, buffer = key.data
                buffer += key.fileobj.recv(65536)  # type: ignore[union-attr]  # sockets are all that is registered
                self._note(number, buffer)

    def _note(self, number: int, buffer: bytearray) -> None:
        end = buffer.rfind(b"\n\n")
        begin = buffer.rfind(b"data: ", 0, end)
        if begin >= 0:
            counts = json.loads(buffer[begin + 6 : buffer.index(b"\n", begin)])["counts"]
            with self._news:
                self._shown[number] = counts["pending"]
                self._news.notify_all()
        del buffer[: max(end, 0)]


class SlowClients:
    """Connections that begin a request and send a byte of it now and then."""

    def __init__(self, port: int, count: int) -> None:
        heads = (
            b"GET /stats HT",
            b"POST /functions/v1/start-coding-session HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        )
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for number, one in enumerate(self._sockets):
            one.sendall(heads[number % len(heads)])
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._trickle, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._closed.set()
        self._thread.join()
        for one in self._sockets:
            one.close()

    def _trickle(self) -> None:
        while not self._closed.wait(_TRICKLE_SECONDS):
            for one in self._sockets:
                try:
                    one.sendall(b" ")
                except OSError:  # turned away after its deadline
                    continue

"""A TCP proxy whose links can be slow or dead. A dead link accepts what is sent, delivers nothing and stays open."""

import contextlib
import socket
import threading
import time
from urllib.parse import urlsplit


class Proxy:
    """Listens on a free port of this machine and passes everything on to `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.delay_seconds = 0.0  # each way
        self.port: int = self._server.getsockname()[1]
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def go_dead(self) -> "list[_Link]":
        """Make all open links dead; later ones work. Returns the dead ones."""
        with self._lock:
            dead, self._links = self._links, []
        for link in dead:
            link.is_dead = True
        return [link for link in dead if not link.client_hung_up.is_set()]

    def close(self) -> None:
        self._server.close()
        for link in [*self._links]:
            link.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with self._lock:
                    self._links.append(_Link(client, socket.create_connection(self._target), self))


class _Link:
    def __init__(self, client: socket.socket, server: socket.socket, proxy: Proxy) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self.is_dead = False
        self.client_hung_up = threading.Event()
        for ends in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=ends, name="proxy link", daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._proxy.delay_seconds:
                    time.sleep(self._proxy.delay_seconds)
                if not self.is_dead:
                    sink.sendall(data)
        if source is self._client:
            self.client_hung_up.set()
        if source is self._client or not self.is_dead:
            self.close()

    def close(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def proxy_before(url: str) -> Proxy:
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    return Proxy((address.hostname, address.port))


def by_way_of(proxy: Proxy, url: str) -> str:
    return url.replace(urlsplit(url).netloc.rpartition("@")[2], f"127.0.0.1:{proxy.port}")

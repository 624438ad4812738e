"""The way out of a sandbox, by HTTP and HTTPS, to the hosts that it may reach.

A process of its own beside the daemon. It resolves a name itself, once, and connects to an address that it has checked,
so that no answer of a name server leads to this machine, its network or the cloud's metadata. It follows no redirects:
the client asks again, and is checked again.
"""

import contextlib
import encodings.idna  # noqa: F401 - getaddrinfo needs it, and later it may not be readable any more
import ipaddress
import os
import select
import socket
import threading
from collections.abc import Callable, Iterable, Sequence

from actors.coding.sandbox.warden import ends_with

CONNECTIONS = 64  # at once: package managers open some dozens
HEAD_BYTES = 16 * 1024  # of a request: what servers take at most
HEAD_SECONDS = 10.0  # for it to come, and for a connection to be made
IDLE_SECONDS = 300.0  # without a byte: a server that computes for long may take some minutes
CHUNK_BYTES = 64 * 1024  # at a time
PORTS = {"http": 80, "https": 443}
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedError(Exception):
    """What the client is told."""


def start_proxy(hosts: Sequence[str]) -> int:
    """Start the proxy, which ends with this process. Returns the socket that takes ports for it to serve."""
    ours, its = socket.socketpair()
    parent = os.getpid()
    if os.fork() == 0:
        try:
            ours.close()
            if ends_with(parent):
                _serve_ports(Proxy(hosts), its)
        finally:
            os._exit(0)
    its.close()
    return ours.detach()


def _serve_ports(proxy: "Proxy", ports: socket.socket) -> None:
    """Serve each port that is sent, with a descriptor that ends with the command that may use it."""
    while True:
        _, descriptors, _, _ = socket.recv_fds(ports, 1, 2)
        if not descriptors:
            return
        listener, until = descriptors
        threading.Thread(target=proxy.serve, args=(socket.socket(fileno=listener), until), daemon=True).start()


class Proxy:
    """`resolve` gives the addresses of a name; those for which `may_reach` is false are not connected to."""

    def __init__(
        self,
        hosts: Iterable[str],
        resolve: Callable[[str, int], Sequence[str]] | None = None,
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        self._hosts = {host.lower().removesuffix(".") for host in hosts}
        self._resolve = resolve or addresses_of
        self._may_reach = may_reach or is_public
        self._free = threading.BoundedSemaphore(CONNECTIONS)

    def serve(self, listener: socket.socket, until: int) -> None:
        """Take connections until the descriptor `until`, which is closed then, ends: the command has ended."""
        with listener, os.fdopen(until):
            while listener.fileno() in select.select([listener.fileno(), until], [], [])[0]:
                self.take(listener.accept()[0])

    def take(self, client: socket.socket) -> None:
        """Serve one client, in a thread."""
        if self._free.acquire(blocking=False):
            threading.Thread(target=self._handle, args=(client,), daemon=True).start()
        else:
            client.close()

    def _handle(self, client: socket.socket) -> None:
        try:
            with client:
                client.settimeout(HEAD_SECONDS)
                self._pass_on(client)
        except OSError:
            pass  # one of the two has gone
        finally:
            self._free.release()

    def _pass_on(self, client: socket.socket) -> None:
        head, rest = _head(client)
        try:
            method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
            if method == "CONNECT":
                server = self._connect(*_host_and_port(target, PORTS["https"]))
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                host, port, path = _parts(target)
                server = self._connect(host, port)
                server.sendall(_for_the_server(head, method, path, host, port))
        except (RefusedError, ValueError) as error:
            text = f"{error if isinstance(error, RefusedError) else 'no request for a proxy'}\n".encode()
            length = f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n" + length + text)
            return
        with server:
            server.sendall(rest)
            relay(client, server, IDLE_SECONDS)

    def _connect(self, host: str, port: int) -> socket.socket:
        """Raises RefusedError."""
        if not self._is_listed(host):
            raise RefusedError(f"the sandbox may not reach {host}: it is not among SANDBOX_NETWORK")
        if port not in PORTS.values():
            raise RefusedError(f"the sandbox may reach the ports 80 and 443 only, not {port}")
        try:
            found = self._resolve(host, port)
        except OSError as error:
            raise RefusedError(f"{host} has no address ({error.strerror})") from None
        public = [address for address in found if self._may_reach(address)]
        if not public:
            raise RefusedError(f"the addresses of {host} are not public: the sandbox may not reach them")
        for address in public:
            with contextlib.suppress(OSError):
                return socket.create_connection((address, port), HEAD_SECONDS)
        raise RefusedError(f"{host} does not answer")

    def _is_listed(self, host: str) -> bool:
        """`*.example.com` lists all names below example.com."""
        name = host.lower().removesuffix(".")
        above = name.split(".")
        return name in self._hosts or any(f"*.{'.'.join(above[at:])}" in self._hosts for at in range(1, len(above)))


def addresses_of(host: str, port: int) -> Sequence[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(text: str) -> bool:
    """Whether an address belongs to the internet: not to a machine, a network of it, or the metadata of a cloud."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        if address.ipv4_mapped or address.sixtofour or address.teredo:
            return False  # another address in disguise
    closed = address.is_private or address.is_multicast or address.is_reserved or address.is_link_local
    return address.is_global and not closed


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what came after it. Raises OSError."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = client.recv(CHUNK_BYTES)
        if not data or len(received) > HEAD_BYTES:
            raise OSError("no head")
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, str(default)
    if not host or not port.isdigit() or "@" in host:
        raise ValueError(text)
    return host.strip("[]"), int(port)


def _parts(target: str) -> tuple[str, int, str]:
    """Host, port and path of `http://host:port/path`."""
    scheme, separator, rest = target.partition("://")
    if scheme.lower() != "http" or not separator:
        raise ValueError(target)
    host, slash, path = rest.partition("/")
    return *_host_and_port(host, PORTS["http"]), slash + path or "/"


def _for_the_server(head: bytes, method: str, path: str, host: str, port: int) -> bytes:
    """The request as its server takes it: for the host that was checked, and the last one of its connection."""
    own = (b"host:", b"connection:", b"proxy-", b"keep-alive:")
    kept = [line for line in head.split(b"\r\n")[1:] if not line.lower().startswith(own)]
    name = host if port == PORTS["http"] else f"{host}:{port}"
    first = [f"{method} {path} HTTP/1.1".encode(), f"Host: {name}".encode(), b"Connection: close"]
    return b"\r\n".join([*first, *kept, b"", b""])


def relay(one: socket.socket, other: socket.socket, seconds: float | None) -> None:
    """Pass on what each of two says, until both have ended, or are silent for so long."""
    peers = {one: other, other: one}
    while peers and (ready := select.select(list(peers), [], [], seconds)[0]):
        for peer in ready:
            data = peer.recv(CHUNK_BYTES)
            if data:
                peers[peer].sendall(data)
            else:
                peers.pop(peer).shutdown(socket.SHUT_WR)

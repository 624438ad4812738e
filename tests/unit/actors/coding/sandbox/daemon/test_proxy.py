"""The proxy of a sandbox: what it refuses, and what it passes on."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from actors.coding.sandbox.daemon import proxy
from actors.coding.sandbox.daemon.proxy import Proxy, addresses_of, is_public

Ask = Callable[[bytes], bytes]


class Server(BaseHTTPRequestHandler):
    heads: list[str]

    def do_GET(self) -> None:
        type(self).heads.append(f"{self.requestline}\n{self.headers}")
        self.send_response(302 if self.path == "/redirect" else 200)
        self.send_header("Location", "http://169.254.169.254/")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Server.heads = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Running:
    """A proxy in a thread. It finds each name at an address that counts as public here."""

    def __init__(
        self, hosts: Sequence[str], resolve: Callable[[str, int], Sequence[str]], may_reach: Callable[[str], bool]
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        until, self._end = os.pipe()
        address = self._listener.getsockname()
        self.address = (str(address[0]), int(address[1]))
        served = Proxy(hosts, resolve, may_reach)
        threading.Thread(target=served.serve, args=(self._listener, until), daemon=True).start()

    def ask(self, request: bytes) -> bytes:
        with socket.create_connection(self.address, 10) as client:
            client.sendall(request)
            answer = b""
            while data := client.recv(65536):
                answer += data
            return answer


@pytest.fixture
def ask(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setattr(proxy, "PORTS", {"http": server.server_port, "https": server.server_port})
    return Running(["Example.com", "*.example.org"], lambda *_: ["127.0.0.1"], lambda _: True).ask


def get(url: str) -> bytes:
    return f"GET {url} HTTP/1.1\r\nHost: other.example\r\nProxy-Authorization: x\r\nAccept: a\r\n\r\n".encode()


@pytest.mark.parametrize("host", ["example.com", "EXAMPLE.com.", "a.example.org", "a.b.example.org"])
def test_listed_hosts_are_reached(ask: Ask, host: str) -> None:
    answer = ask(get(f"http://{host}/path?query"))

    assert answer.startswith(b"HTTP/1.0 200") and answer.endswith(b"hello")
    (head,) = Server.heads
    assert head.splitlines()[0] == "GET /path?query HTTP/1.1"
    assert f"Host: {host}" in head and "other.example" not in head
    assert "Accept: a" in head and "Proxy" not in head


def test_a_tunnel_passes_all_on(ask: Ask, server: ThreadingHTTPServer) -> None:
    tunnel = f"CONNECT example.com:{server.server_port} HTTP/1.1\r\n\r\n".encode()

    answer = ask(tunnel + b"GET /inside HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.0 200")
    assert Server.heads[0].startswith("GET /inside")


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "evil.com",
        "example.com.evil.com",
        "notexample.com",
        "a.example.com",
        "127.0.0.1",
        "[::1]",
        "localhost",
        *["169.254.169.254", "example.com@evil.com", "*.example.org.evil.com", "0x7f.1", "2130706433"],
    ],
)
def test_other_hosts_are_refused(ask: Ask, host: str) -> None:
    for request in (get(f"http://{host}/"), f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode()):
        assert ask(request).startswith(b"HTTP/1.1 403 Forbidden")
    assert Server.heads == []


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"GET file:///etc/passwd HTTP/1.1\r\n\r\n",
        b"\xff\r\n\r\n",
        b"x\r\n\r\n",
        b"GET https://example.com/ HTTP/1.1\r\n\r\n",
        b"CONNECT example.com:x HTTP/1.1\r\n\r\n",
        b"CONNECT : HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_for_a_proxy_is_refused(ask: Ask, request_: bytes) -> None:
    assert ask(request_).startswith(b"HTTP/1.1 403 Forbidden")
    assert Server.heads == []


def test_other_ports_are_refused(ask: Ask) -> None:
    for port in (22, 25, 5432, 6379, 80):
        assert b"ports 80 and 443 only" in ask(f"CONNECT example.com:{port} HTTP/1.1\r\n\r\n".encode())


def test_redirects_are_the_clients(ask: Ask) -> None:
    assert b"Location: http://169.254.169.254/" in ask(get("http://example.com/redirect"))
    assert len(Server.heads) == 1


def test_a_head_without_end_is_given_up(ask: Ask) -> None:
    assert ask(b"GET http://example.com/ HTTP/1.1\r\nX: " + b"x" * 100_000) == b""


PRIVATE = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("100.100.100.200", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_of_the_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "140.82.121.4", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(address)


def test_a_listed_name_that_leads_inside_is_refused(server: ThreadingHTTPServer) -> None:
    running = Running(["localhost", "inside.example"], addresses_of, is_public)
    inside = Running(["inside.example"], lambda *_: PRIVATE, is_public)

    for answer in (running.ask(get("http://localhost/")), inside.ask(get("http://inside.example/"))):
        assert answer.startswith(b"HTTP/1.1 403 Forbidden") and b"not public" in answer


def test_a_name_is_resolved_once_and_its_checked_address_is_used(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the second answer of a name server could lead inside."""
    monkeypatch.setattr(proxy, "PORTS", {"http": server.server_port})
    asked: list[str] = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1", "169.254.169.254"] if len(asked) == 1 else ["169.254.169.254"]

    running = Running(["example.com"], resolve, lambda address: address == "127.0.0.1")

    assert running.ask(get("http://example.com/")).endswith(b"hello")
    assert asked == ["example.com"]


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch, server: ThreadingHTTPServer) -> None:
    monkeypatch.setattr(proxy, "CONNECTIONS", 2)
    monkeypatch.setattr(proxy, "PORTS", {"http": server.server_port})
    running = Running(["example.com"], lambda *_: ["127.0.0.1"], lambda _: True)
    held = [socket.create_connection(running.address) for _ in range(2)]
    for client in held:
        client.sendall(b"GET ")

    with socket.create_connection(running.address, 10) as third:
        assert third.recv(1) == b""

    for client in held:
        client.close()

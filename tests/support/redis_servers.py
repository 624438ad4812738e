"""Redis servers that the bridge refuses, and other servers that may answer at an address."""

import contextlib
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bridge.dev.embedded.redis import find_program
from bridge.dev.embedded.server import HOST, ServerProcess, start_on_a_free_port
from bridge.errors import RedisUnavailableError
from bridge.transport.client import connect_redis
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.server_check import check_usable

Open = Callable[..., int]  # takes lines of a configuration, returns the port


@contextlib.contextmanager
def server(folder: Path, *lines: str, sentinel: bool = False, program: Path | None = None) -> Iterator[int]:
    """Start a server with these lines in its configuration. Returns its port."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "redis.conf"
    process = ServerProcess("redis", folder, stop_signal=signal.SIGKILL)
    ports: list[int] = []

    def start(port: int) -> None:
        ports.append(port)
        settings = [f"bind {HOST}", f"port {port}", f"dir {folder}"]
        config.write_text("\n".join([*settings, *([] if sentinel else ['save ""']), *lines, ""]))
        process.start([program or find_program(), config, *(["--sentinel"] if sentinel else [])], lambda: answers(port))

    start_on_a_free_port(start)
    try:
        yield ports[-1]
    finally:
        process.stop()


def answers(port: int) -> bool:
    client = redis.Redis(port=port, protocol=2, retry=Retry(NoBackoff(), 0))  # its own retries rest for seconds
    try:
        client.ping()
    except redis.AuthenticationError:
        return True
    except redis.RedisError:
        return False
    finally:
        client.close()
    return True


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Make a self-signed certificate and its key."""
    made, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@contextlib.contextmanager
def tls_before(port: int, made: Path, key: Path) -> Iterator[int]:
    """Accept TLS on a port of its own and forward to a server without TLS. Returns that port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    listening = socket.create_server((HOST, 0))

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(link: socket.socket) -> None:
        try:
            wrapped = context.wrap_socket(link, server_side=True)
        except OSError:
            link.close()
            return
        with wrapped, socket.create_connection((HOST, port)) as behind:
            back = threading.Thread(target=carry, args=(behind, wrapped), daemon=True)
            back.start()
            carry(wrapped, behind)
            back.join(5)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = listening.accept()
                threading.Thread(target=serve, args=(link,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield int(listening.getsockname()[1])
    listening.close()


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    httpd = HTTPServer((HOST, 0), BaseHTTPRequestHandler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield httpd.server_port
    httpd.shutdown()
    httpd.server_close()


@contextlib.contextmanager
def says(answer: bytes) -> Iterator[int]:
    """A server with the same answer to every request."""
    listening = socket.create_server((HOST, 0))

    def serve(link: socket.socket) -> None:
        with contextlib.suppress(OSError), link:
            while link.recv(65536):
                link.sendall(answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = listening.accept()
                threading.Thread(target=serve, args=(link,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield int(listening.getsockname()[1])
    listening.close()


def refusal(url: str) -> RedisUnavailableError:
    """The error of `run`, `worker` and `mobvibe doctor` for this address."""
    client = connect_redis(url, timeout_seconds=2.0)
    with client, pytest.raises(RedisUnavailableError) as caught:
        check_usable(client, "mobvibe", DatabaseMark(client, "mobvibe", "id name"))
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value

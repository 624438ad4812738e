"""The campaign's proxy: each kind of network fault does exactly what its name says."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.campaign.proxy_process import ProxyProcess
from tests.campaign.wire import PostgresReader
from tests.support.waiting import eventually


class Echo:
    """A server that answers each line with the same line, and keeps what it received."""

    def __init__(self) -> None:
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received += data
                    connection.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[ProxyProcess]:
    target: dict[str, Any] = {"host": "127.0.0.1", "port": echo.port, "protocol": "redis", "seed": 1}
    process = ProxyProcess({"server": target})
    yield process
    process.close()


@pytest.fixture
def client(proxy: ProxyProcess) -> Iterator[socket.socket]:
    with dial(proxy) as client:
        yield client


def dial(proxy: ProxyProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.ports["server"]), timeout=5)


def ask(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    answer = b""
    while len(answer) < len(data):
        part = client.recv(65536)
        if not part:
            break
        answer += part
    return answer


def test_without_faults_bytes_pass_both_ways(client: socket.socket) -> None:
    data = b"x" * 1_000_000
    threading.Thread(target=client.sendall, args=(data,)).start()
    received = 0
    while received < len(data):
        received += len(client.recv(65536))


def test_latency_delays_both_ways(proxy: ProxyProcess, client: socket.socket) -> None:
    proxy.set_conditions("server", latency=0.3)
    client.settimeout(0.5)  # 0.6 s for both ways
    with pytest.raises(TimeoutError):
        ask(client, b"hello\r\n")
    client.settimeout(5)
    assert client.recv(100) == b"hello\r\n"


def test_a_half_open_connection_stays_open_and_silent(proxy: ProxyProcess, client: socket.socket) -> None:
    assert ask(client, b"1\r\n") == b"1\r\n"
    proxy.set_conditions("server", drop="existing")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):  # neither an answer nor an end
        ask(client, b"2\r\n")
    with dial(proxy) as later:
        assert ask(later, b"3\r\n") == b"3\r\n"
    proxy.clear("server")
    with pytest.raises(TimeoutError):
        ask(client, b"4\r\n")


def test_new_connections_are_half_open_when_all_are(proxy: ProxyProcess, echo: Echo) -> None:
    proxy.set_conditions("server", drop="all")
    with dial(proxy) as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ask(client, b"1\r\n")
    proxy.clear("server")
    with dial(proxy) as client:
        assert ask(client, b"2\r\n") == b"2\r\n"
    assert echo.received == b"2\r\n"


def test_a_reset_connection_ends_with_rst_and_not_with_fin(proxy: ProxyProcess, client: socket.socket) -> None:
    assert ask(client, b"1\r\n") == b"1\r\n"
    assert proxy.order("server", "reset")["connections"] == 1
    with pytest.raises(ConnectionResetError):
        client.recv(100)


def test_new_connections_can_be_refused(proxy: ProxyProcess, echo: Echo) -> None:
    proxy.set_conditions("server", refuse=True)
    with suppress(ConnectionError), dial(proxy) as client:
        assert ask(client, b"1\r\n") == b""
    assert echo.received == b""


def test_the_target_can_be_changed_to_a_server_on_another_port(proxy: ProxyProcess, echo: Echo) -> None:
    other = Echo()
    proxy.order("server", "aim", port=other.port)
    with dial(proxy) as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
    assert (echo.received, other.received) == (b"", b"hello\n")
    other.close()


def test_a_connection_is_cut_after_an_exact_number_of_bytes(
    proxy: ProxyProcess, client: socket.socket, echo: Echo
) -> None:
    assert ask(client, b"1\r\n") == b"1\r\n"
    proxy.order("server", "cut_after", count=4)
    client.sendall(b"abcdefgh\r\n")
    with pytest.raises(ConnectionResetError):
        [client.recv(100) for _ in range(3)]
    eventually(lambda: echo.received == b"1\r\nabcd", seconds=5)


def test_the_request_is_done_when_its_reply_is_lost(proxy: ProxyProcess, client: socket.socket, echo: Echo) -> None:
    proxy.set_conditions("server", lose_replies=1.0, asking=["COMMIT"])
    assert ask(client, b"BEGIN\r\n") == b"BEGIN\r\n"
    with pytest.raises(ConnectionResetError):
        ask(client, b"COMMIT\r\n")
    assert echo.received == b"BEGIN\r\nCOMMIT\r\n"
    assert proxy.order("server", "who")["lost_replies"] == 1


def frame(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def test_postgres_requests_are_known_by_their_functions_also_when_only_bound() -> None:
    startup = struct.pack("!I", 196608) + b"user\0me\0application_name\0mobvibe starts\0\0"
    stream = frame(b"", struct.pack("!I", 80877103))  # may we speak TLS?
    stream += frame(b"", startup)
    stream += frame(b"P", b"one\0SELECT complete_jobs($1)\0\0\0") + frame(b"B", b"\0one\0\0\0") + frame(b"S", b"")
    stream += frame(b"B", b"\0one\0\0\0") + frame(b"E", b"\0\0\0\0\0") + frame(b"S", b"")
    stream += frame(b"Q", b"COMMIT\0")
    reader = PostgresReader()
    asked = [text for n in range(0, len(stream), 7) for text in reader.asked(stream[n : n + 7])]
    assert reader.name == "mobvibe starts"
    assert len(asked) == 3
    assert "complete_jobs" in asked[0] and "complete_jobs" in asked[1]
    assert asked[2] == "COMMIT"
    assert reader.is_whole(b"anything" + frame(b"Z", b"I"))
    assert not reader.is_whole(b"anything")

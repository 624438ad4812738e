"""The daemon as its clients meet it: raw requests over its socket."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from actors.coding.sandbox.client import DaemonSandbox
from actors.coding.sandbox.daemon.protocol import EXIT, FRAME, STDOUT, message, take_message
from actors.coding.sandbox.local import _connect
from tests.support.sandboxes import SPEC, local_provider, run
from tests.support.waiting import eventually


class Client:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(10)
        self._received = bytearray()

    def ask(self, body: bytes = b"", **request: Any) -> tuple[dict[str, Any], bytes]:
        self.socket.sendall(message({"fence": 5, **request}, body))
        while (answer := take_message(self._received)) is None:
            self._received += self.socket.recv(65536)
        return answer

    def frame(self) -> tuple[int, bytes]:
        kind, size = FRAME.unpack(self._take(FRAME.size))
        return kind, self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._received += self.socket.recv(65536)
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


class Daemon:
    def __init__(self, folder: Path) -> None:
        self.provider = local_provider(folder)
        self.session_id = uuid4()
        self.sandbox: DaemonSandbox = self.provider.obtain(self.session_id, 5, SPEC)
        self._clients: list[Client] = []

    def client(self) -> Client:
        client = Client(_connect(self.provider._folder(self.session_id)))
        self._clients.append(client)
        return client

    def call_names(self) -> list[str]:
        calls = self.provider._workspaces / str(self.session_id) / "run" / "calls"
        return [call.name for call in calls.iterdir()]

    def close(self) -> None:
        for client in self._clients:
            client.socket.close()
        self.sandbox.close()
        self.provider.destroy(self.session_id)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "workspaces")
    yield daemon
    daemon.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"[]\n",
        b'{"fence": 5}\n',
        b'{"op": "none", "fence": 5}\n',
        b'{"op": "exec", "fence": 5, "call": "x", "argv": 5, "environment": 5}\n',
        b"\xff" * 99 + b"\n",
    ],
)
def test_what_is_no_request_closes_the_connection_and_nothing_else(daemon: Daemon, garbage: bytes) -> None:
    client = daemon.client()
    client.socket.sendall(garbage)

    assert client.socket.recv(10) == b""
    assert run(daemon.sandbox, "echo here").text() == "here\n"


def test_another_attempt_is_refused(daemon: Daemon) -> None:
    client = daemon.client()

    for operation in ("hello", "exec", "has", "follow", "end", "read", "write", "stop"):
        assert client.ask(op=operation, fence=4)[0]["error"] == "refused"
    assert client.ask(op="hello")[0] == {"bytes": 0}


def test_a_later_attempt_ends_it(daemon: Daemon) -> None:
    assert daemon.client().ask(op="hello", fence=6)[0]["error"] == "refused"

    eventually(lambda: not daemon.provider.list()[0].is_running)


def test_output_is_read_from_an_offset(daemon: Daemon) -> None:
    daemon.sandbox.run("x", ["echo", "0123456789"], lambda *_: None, seconds=5)
    client = daemon.client()
    (name,) = daemon.call_names()

    assert client.ask(op="follow", call=name, offset=0)[0] == {"bytes": 0}
    first, last = client.frame(), client.frame()

    assert first == (STDOUT, b"0123456789\n")
    assert last[0] == EXIT and json.loads(last[1])["code"] == 0
    client.ask(op="follow", call=name, offset=FRAME.size + 11)
    assert client.frame() == last


@pytest.mark.parametrize("name", ["../x", "a/b", "", "."])
def test_a_name_of_a_call_is_no_path(daemon: Daemon, name: str) -> None:
    client = daemon.client()
    client.socket.sendall(
        message({"op": "exec", "fence": 5, "call": name, "argv": ["true"], "seconds": 1, "environment": {}})
    )

    assert client.socket.recv(10) == b""
    assert run(daemon.sandbox, "echo here").text() == "here\n"


def test_a_client_that_reads_nothing_delays_no_other(daemon: Daemon) -> None:
    slow = daemon.client()
    run(daemon.sandbox, "head -c 8000000 /dev/zero", call_id="big")
    (name,) = daemon.call_names()
    slow.socket.sendall(message({"op": "follow", "fence": 5, "call": name, "offset": 0}))

    assert run(daemon.sandbox, "echo here").text() == "here\n"


def test_so_many_ended_calls_are_kept(daemon: Daemon) -> None:
    for number in range(20):
        run(daemon.sandbox, "true", call_id=str(number))

    assert [daemon.sandbox.has(str(number)) for number in range(20)] == [False] * 4 + [True] * 16


def test_so_many_commands_run_at_once(daemon: Daemon) -> None:
    client = daemon.client()
    order: dict[str, Any] = {"op": "exec", "argv": ["sleep", "60"], "seconds": 60, "environment": {}}

    answers = [client.ask(**order, call=f"c{number}")[0] for number in range(9)]

    assert [answer.get("error") for answer in answers] == [None] * 8 + ["failed"]

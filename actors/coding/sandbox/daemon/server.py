"""The daemon: serves its socket, and ends with all commands when the worker that started it has ended."""

import fcntl
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable

from actors.coding.sandbox.daemon.call import STOPPED
from actors.coding.sandbox.daemon.calls import Calls
from actors.coding.sandbox.daemon.connection import Connection
from actors.coding.sandbox.daemon.identity import enter
from actors.coding.sandbox.daemon.operations import Operations
from actors.coding.sandbox.daemon.protocol import Json

RUNNING_SECONDS = 0.5  # between two looks at the drive while something runs
IDLE_SECONDS = 5.0  # between two looks whether the worker is there, if its end of the pipe should be held by another
END_SECONDS = 6.0  # for all commands to end: the warden tries for 5
LOOK_SECONDS = 0.01  # between two tries to get the lock


def main() -> None:
    """The order is a line of JSON on standard input, which stays open: its end is the end of the worker."""
    order = json.loads(sys.stdin.buffer.readline())
    try:
        server = Server(order)
    except OSError as error:
        _say(error.strerror or str(error))
        sys.exit(1)
    _say("ready")
    server.run()


class Server:
    def __init__(self, order: Json) -> None:
        os.umask(0o077)
        start_proxy = _load_proxy() if order["hosts"] else None
        enter(order["user"], order["folder"])
        ports = start_proxy(order["hosts"]) if start_proxy else None
        lock = _lock("run/lock")
        self._worker = order["worker"]
        self._selector = selectors.DefaultSelector()
        self._calls = Calls({**order, "lock": lock, "ports": ports}, self._selector)
        self._operations = Operations(self._calls, order)
        self._connections: list[Connection] = []
        self._listener = _listen("run/socket")
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(0, selectors.EVENT_READ, self._operations.stop)  # the worker has ended

    def run(self) -> None:
        """Serve until the worker ends, a later attempt takes over, or a client says `stop`."""
        while not self._operations.is_stopped:
            self._step()
            self._calls.watch_the_drive()
            if os.getppid() != self._worker:
                self._operations.stop()
        self._selector.unregister(0)
        self._selector.unregister(self._listener)
        self._listener.close()
        for connection in self._connections:
            connection.close()
        self._calls.end(STOPPED)
        deadline = time.monotonic() + END_SECONDS
        while self._calls.running() and time.monotonic() < deadline:
            self._step()

    def _step(self) -> None:
        for key, _ in self._selector.select(RUNNING_SECONDS if self._calls.running() else IDLE_SECONDS):
            key.data()
        for connection in self._connections:
            connection.send()
        self._connections = [connection for connection in self._connections if connection.is_open]

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        self._connections.append(Connection(peer, self._selector, self._operations.answer))


def _load_proxy() -> Callable[[list[str]], int]:
    """Few sandboxes have a network, and it takes a while to load. Afterwards it may not be readable any more."""
    from actors.coding.sandbox.daemon.proxy import start_proxy  # noqa: PLC0415

    return start_proxy


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _lock(path: str) -> int:
    """Wait until no earlier daemon of this sandbox is there. Its wardens hold the lock, too, until all has ended."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OSError(f"an earlier attempt still ends its commands, after {END_SECONDS:g} s") from None
        time.sleep(LOOK_SECONDS)


def _listen(path: str) -> socket.socket:
    if os.path.lexists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.setblocking(False)
    return listener

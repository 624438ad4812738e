"""A stop signal while a process boots ends it soon, whatever it waits for: it has nothing to lose yet."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from bridge.dev.embedded.server import pick_port
from tests.acceptance.processes import BIN, Fleet, Process
from tests.support.waiting import eventually

# Two seconds are promised. A loaded machine gets more; without the promise it would be 5 s at least, for one log-in.
ENDS_SECONDS = 4.0
BRIDGE = (sys.executable, "-m", "bridge")
COMMANDS = {
    "run": (*BRIDGE, "run"),
    "worker": (*BRIDGE, "worker"),
    "web": (*BRIDGE, "web"),
    "dramatiq": (str(BIN / "dramatiq"), "actors", "-p", "1", "-t", "2"),
}
# At the beginning of the actors package: it takes long to import, in the processes of `where`.
SLOW = """
import pathlib, sys, time
if {where}:
    pathlib.Path("importing").touch()
    time.sleep(60)
"""
TRIAL, WORKER = "'dramatiq.cli' not in sys.modules", "'dramatiq.cli' in sys.modules"


class SilentStore:
    """Takes connections, and answers nothing."""

    def __init__(self) -> None:
        self.clients: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self.clients.append(self._socket.accept()[0])

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for one in (self._socket, *self.clients):
            one.close()


@pytest.fixture
def silent() -> Iterator[SilentStore]:
    store = SilentStore()
    yield store
    store.close()


def end(process: Process) -> float:
    """Seconds until the process and all that it started have ended after one SIGTERM."""
    family = process.descendants()
    told = time.monotonic()
    process.send(signal.SIGTERM)
    process.wait(60)
    psutil.wait_procs(family, timeout=60)
    assert "Traceback" not in process.output
    return time.monotonic() - told


@pytest.mark.parametrize("address", ["postgresql://mobvibe@127.0.0.1:{port}/mobvibe", "redis://127.0.0.1:{port}/0"])
@pytest.mark.parametrize("name", COMMANDS)
def test_while_it_waits_for_a_store(outside: Fleet, silent: SilentStore, name: str, address: str) -> None:
    variable = "DATABASE_URL" if address.startswith("postgresql") else "REDIS_URL"
    store = {variable: address.format(port=silent.port), "HEALTH_CHECK_PORT": str(pick_port())}
    process = outside.start(*COMMANDS[name], **store)
    if (name, variable) == ("web", "DATABASE_URL"):  # it serves meanwhile
        process.wait_for("Web ready")
    else:
        eventually(lambda: silent.clients, seconds=30)

    assert end(process) < ENDS_SECONDS


@pytest.mark.parametrize("where", [TRIAL, WORKER])
def test_while_its_actors_package_is_imported(outside: Fleet, where: str) -> None:
    package = outside.project / "actors" / "__init__.py"
    package.write_text(SLOW.format(where=where) + package.read_text())
    worker = outside.start(*COMMANDS["worker"])
    eventually((outside.project / "importing").exists, seconds=30)

    assert end(worker) < ENDS_SECONDS

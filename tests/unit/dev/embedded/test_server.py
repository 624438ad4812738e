"""An embedded server: waited for until it serves, its reason shown if it does not start, and always ended."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from bridge.dev.embedded.server import HOST, ServerProcess, _reason_in, pick_port
from bridge.errors import EmbeddedStoreError


def test_a_server_that_does_not_start_is_named_with_its_fatal_line(tmp_path: Path) -> None:
    server = ServerProcess("redis", tmp_path, stop_signal=signal.SIGTERM)
    script = "print('FATAL: no room', flush=True); print('bye', flush=True); raise SystemExit(1)"

    with pytest.raises(EmbeddedStoreError, match=r"Embedded redis did not start: FATAL: no room \(log: "):
        server.start([sys.executable, "-c", script], lambda: False)

    assert not server.is_running()


def test_a_server_gets_its_configuration_and_ends_when_it_is_stopped(tmp_path: Path) -> None:
    server = ServerProcess("redis", tmp_path, stop_signal=signal.SIGTERM)
    script = "import sys, time; print(sys.stdin.read(), flush=True); time.sleep(60)"

    server.start([sys.executable, "-c", script], lambda: "port 1" in server.log.read_text(), config="port 1")
    assert server.is_running()
    server.stop()

    assert not server.is_running()
    server.stop()


def test_a_taken_port_is_skipped() -> None:
    free = pick_port()
    assert pick_port(free) == free
    with socket.create_server((HOST, free)):
        assert pick_port(free) != free


def test_an_empty_log_is_reported_as_empty(tmp_path: Path) -> None:
    assert _reason_in(tmp_path / "none.log") == "its log is empty"

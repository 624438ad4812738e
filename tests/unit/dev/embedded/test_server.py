"""A server of ours: started until it serves, the reason where it does not, and ended even if it will not."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from bridge.dev.embedded.server import HOST, ServerProcess, _reason_in, pick_port
from bridge.errors import EmbeddedStoreError


def test_one_that_does_not_begin_is_named_with_what_it_said(tmp_path: Path) -> None:
    server = ServerProcess("redis", tmp_path, stop_signal=signal.SIGTERM)
    script = "print('FATAL: no room', flush=True); print('bye', flush=True); raise SystemExit(1)"

    with pytest.raises(EmbeddedStoreError, match=r"Embedded redis did not start: FATAL: no room \(log: "):
        server.start([sys.executable, "-c", script], lambda: False)

    assert not server.is_running()


def test_one_that_serves_gets_its_configuration_and_ends_when_it_is_told(tmp_path: Path) -> None:
    server = ServerProcess("redis", tmp_path, stop_signal=signal.SIGTERM)
    script = "import sys, time; print(sys.stdin.read(), flush=True); time.sleep(60)"

    server.start([sys.executable, "-c", script], lambda: "port 1" in server.log.read_text(), config="port 1")
    assert server.is_running()
    server.stop()

    assert not server.is_running()
    server.stop()


def test_a_taken_port_is_stepped_over() -> None:
    free = pick_port()
    assert pick_port(free) == free
    with socket.create_server((HOST, free)):
        assert pick_port(free) != free


def test_a_log_with_nothing_in_it_says_so(tmp_path: Path) -> None:
    assert _reason_in(tmp_path / "none.log") == "its log is empty"

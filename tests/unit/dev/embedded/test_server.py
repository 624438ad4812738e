"""An embedded server: waited for until it serves, its reason shown if it does not start, and always ended."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from bridge.dev.embedded import server as module
from bridge.dev.embedded.postgres import EmbeddedPostgres
from bridge.dev.embedded.redis import EmbeddedRedis
from bridge.dev.embedded.server import HOST, ServerProcess, _reason_in, pick_port
from bridge.errors import EmbeddedStoreError
from tests.support.store_folder import store_folder


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


@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedRedis])
def test_a_port_that_is_taken_before_the_server_has_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[EmbeddedPostgres | EmbeddedRedis]
) -> None:
    with socket.create_server((HOST, 0)) as other, store_folder(tmp_path) as folder:
        ports = iter([other.getsockname()[1], pick_port()])
        monkeypatch.setattr(module, "pick_port", lambda _: next(ports))
        server = kind(folder)

        server.start()

        assert server.is_running()
        server.stop()
    with pytest.raises(StopIteration):
        next(ports)


def test_any_other_failure_of_a_start_is_its_end() -> None:
    tried: list[int] = []

    def start(port: int) -> None:
        tried.append(port)
        raise EmbeddedStoreError("Embedded redis did not start: no room")

    with pytest.raises(EmbeddedStoreError, match="no room"):
        module.start_on_a_free_port(start)

    assert len(tried) == 1


def test_an_empty_log_is_reported_as_empty(tmp_path: Path) -> None:
    assert _reason_in(tmp_path / "none.log") == "its log is empty"

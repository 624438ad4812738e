"""Stopping and starting under load: no attempt is spent, no job is lost, and a second signal ends a process at once."""

import os
import signal
import socket
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from bridge.dev.embedded.server import pick_port
from tests.acceptance.processes import BIN, Fleet, Process
from tests.support.ended import alive
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually

JOBS = 200


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


def add_lines(rows: Rows, effects: Path, count: int, ms: int) -> None:
    rows.all(
        "INSERT INTO coding_jobs (actor, queue, payload)"
        " SELECT 'write_line_slowly', 'topic', jsonb_build_object('file', %s::text, 'ms', %s::int)"
        " FROM generate_series(1, %s)",
        [str(effects), ms, count],
    )


def completed(rows: Rows) -> int:
    count: int = rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'")
    return count


def to_the_process(process: Process) -> None:
    process.send(signal.SIGTERM)


def to_its_process_group(process: Process) -> None:
    os.killpg(process.popen.pid, signal.SIGTERM)


def to_every_process(process: Process) -> None:
    """Signal every process, one after the other, as systemd does in a control group."""
    for one in [*process.descendants()]:
        one.send_signal(signal.SIGTERM)
    process.send(signal.SIGTERM)


def test_restarting_one_process_after_another_spends_no_attempt(outside: Fleet, rows: Rows, effects: Path) -> None:
    def worker() -> Process:
        process = outside.start(
            sys.executable, "-m", "bridge", "worker", MAX_CONCURRENT_JOBS="4", SHUTDOWN_TIMEOUT_MS="3000"
        )
        process.wait_for("Worker ready")
        return process

    fleet = [
        (outside.bridge, to_the_process), (worker, to_the_process),
        (worker, to_its_process_group), (worker, to_every_process),
    ]  # fmt: skip
    running = [start() for start, _ in fleet]
    for n, (process, (again, stop)) in enumerate(zip(running, fleet, strict=True)):
        add_lines(rows, effects, JOBS, 40)
        eventually(lambda: completed(rows) > n * JOBS, seconds=30)  # noqa: B023
        stop(process)
        assert completed(rows) < (n + 1) * JOBS, "it was stopped under load"
        assert process.wait(20) == 0, process.output[-2000:]
        again()

    eventually(lambda: completed(rows) == 4 * JOBS, seconds=60)
    assert rows.value("SELECT max(retry_count) FROM coding_jobs") == 0
    lines = Counter(effects.read_text().splitlines())
    assert set(lines.values()) == {1}
    assert len({line.split()[0] for line in lines}) == 4 * JOBS
    assert "Traceback" not in "".join(process.output for process in outside.processes)
    check_invariants(rows)


def test_honcho_restarted_under_load_spends_no_attempt(outside: Fleet, rows: Rows, effects: Path) -> None:
    honcho = outside.start(str(BIN / "honcho"), "start", HEALTH_CHECK_PORT=str(pick_port()), MAX_CONCURRENT_JOBS="4")
    honcho.wait_for("Worker ready")
    add_lines(rows, effects, 300, 20)
    eventually(lambda: completed(rows) >= 50, seconds=30)
    family = honcho.descendants()
    honcho.send(signal.SIGTERM)
    honcho.wait(10)
    eventually(lambda: not alive(family))
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE exec IS NOT NULL AND status = 'processing'") == 0
    assert completed(rows) < 300
    outside.bridge()
    outside.worker(threads=4)

    eventually(lambda: completed(rows) == 300, seconds=60)
    assert rows.value("SELECT max(retry_count) FROM coding_jobs") == 0
    assert set(Counter(effects.read_text().splitlines()).values()) == {1}
    check_invariants(rows)


def test_a_second_signal_ends_mobvibe_worker_and_its_child_processes_at_once(
    outside: Fleet, rows: Rows, effects: Path
) -> None:
    outside.bridge()
    supervisor = outside.start(sys.executable, "-m", "bridge", "worker", MAX_CONCURRENT_JOBS="2", WORKER_PROCESSES="2")
    eventually(lambda: supervisor.output.count("Worker ready") == 2, seconds=30)
    add_lines(rows, effects, 2, 60_000)
    eventually(lambda: effects.exists() and len(effects.read_text().splitlines()) == 2)
    family = supervisor.descendants()
    supervisor.send(signal.SIGTERM)
    eventually(lambda: supervisor.output.count("Stopping worker process") == 2)
    eventually(
        lambda: time.time() - supervisor.log.stat().st_mtime > 1.1,
        what="the time after which a signal counts as a second one",
    )

    supervisor.send(signal.SIGTERM)

    assert supervisor.wait(2) == 128 + signal.SIGTERM
    eventually(lambda: not alive(family), seconds=3)
    assert "Traceback" not in supervisor.output


def test_a_second_signal_ends_the_web_process_at_once(outside: Fleet) -> None:
    port = pick_port()
    web = outside.start(sys.executable, "-m", "bridge", "web", HEALTH_CHECK_PORT=str(port))
    web.wait_for("Web ready")
    family = web.descendants()
    with socket.create_connection(("127.0.0.1", port)) as slow:  # a request that takes long
        slow.sendall(b"POST /functions/v1/start-coding-session HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5) as answer:
            assert answer.status == 200
        web.send(signal.SIGTERM)
        told = time.monotonic()
        eventually(lambda: not answers(port), what="the first signal to take effect")
        eventually(lambda: time.monotonic() - told > 1.1, what="the time after which a signal counts as a second one")

        web.send(signal.SIGTERM)

        assert web.wait(1) == 128 + signal.SIGTERM
    eventually(lambda: not alive(family), seconds=3)
    assert "Traceback" not in web.output


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True

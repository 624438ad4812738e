"""Real processes by a real PgBouncer in transaction mode, with LISTEN_DATABASE_URL past it and without."""

import contextlib
import json
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.dev.embedded.server import pick_port
from tests.acceptance.processes import Fleet, worker_children
from tests.support.commands import CommandResult, mobvibe
from tests.support.invariants import check_invariants
from tests.support.pgbouncer import PgBouncer
from tests.support.rows import Rows
from tests.support.waiting import eventually

LOST = "DATABASE_URL is a pooler in transaction mode: new jobs wait for the poll"
NewPgBouncer = Callable[..., PgBouncer]
# So long that only a wake-up or a broken link explains what happens sooner.
PATIENT = {"POLL_INTERVAL_MS": "120000", "LEASE_MS": "60000"}


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


@pytest.fixture
def new_fleet_by(project: Path, redis_url: str) -> Iterator[Callable[..., Fleet]]:
    with contextlib.ExitStack() as stack:

        def new_fleet_by(**environment: str) -> Fleet:
            fleet = Fleet(project, {"REDIS_URL": redis_url} | environment)
            stack.callback(fleet.end_all)
            return fleet

        yield new_fleet_by


def add(rows: Rows, actor: str, count: int = 1, **payload: object) -> list[UUID]:
    found = rows.all(
        "INSERT INTO coding_jobs (actor, queue, payload) SELECT %s, 'topic', %s::jsonb FROM generate_series(1, %s)"
        " RETURNING id",
        [actor, json.dumps(payload, default=str), count],
    )
    return [row["id"] for row in found]


def completed(rows: Rows) -> int:
    return int(rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'"))


def lines(effects: Path) -> list[str]:
    return effects.read_text().splitlines() if effects.exists() else []


def command(fleet: Fleet, *words: str) -> CommandResult:
    return mobvibe(*words, cwd=fleet.project, **fleet.environment)


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def follow(port: int) -> socket.socket:
    """The stream of the live pages, opened."""
    stream = socket.create_connection(("127.0.0.1", port), timeout=10)
    stream.sendall(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
    assert b"200 OK" in stream.recv(4096)
    return stream


def test_everything_works_by_a_pooler_in_transaction_mode(
    new_fleet_by: Callable[..., Fleet], new_pgbouncer: NewPgBouncer, dsn: str, rows: Rows, effects: Path, tmp_path: Path
) -> None:
    pooler, gate = new_pgbouncer(default_pool_size=5), tmp_path / "gate"
    fleet = new_fleet_by(DATABASE_URL=pooler.before(dsn), LISTEN_DATABASE_URL=dsn, **PATIENT)
    port = pick_port()
    web = fleet.start(sys.executable, "-m", "bridge", "web", HEALTH_CHECK_PORT=str(port))
    bridge, worker = fleet.bridge(), fleet.worker(processes=2, threads=4)
    web.wait_for("Web ready")

    add(rows, "write_line", 200, file=effects)
    eventually(lambda: completed(rows) == 200, seconds=30)
    assert len(set(lines(effects))) == len(lines(effects)) == 200

    # A worker that is killed: its job starts again long before its lease is over.
    (victim,) = add(rows, "write_line_and_wait", file=effects, gate=gate)
    eventually(lambda: len(lines(effects)) == 201)
    owner = rows.value("SELECT w.name FROM workers w JOIN coding_jobs j ON j.worker = w.id WHERE j.id = %s", [victim])
    for child in worker_children(worker):
        if child.pid == int(owner.rpartition(":")[2]):
            child.send_signal(signal.SIGKILL)
    worker.wait(30)
    fleet.worker(threads=4)
    eventually(lambda: len(lines(effects)) == 202, seconds=20, what="the second start")

    # A cancel reaches a running job at once; a failed one is tried again by hand; queues are paused and resumed.
    assert command(fleet, "jobs", "cancel", str(victim)).code == 0
    eventually(lambda: rows.status(victim) == "cancelled", seconds=4)
    assert command(fleet, "queues", "pause", "topic", "--reason", "a test").code == 0
    (paused,) = add(rows, "write_line", file=effects)
    assert command(fleet, "jobs", "retry", str(victim)).code == 0
    gate.touch()
    assert rows.status(paused) == "pending"
    assert command(fleet, "queues", "resume", "topic").code == 0
    eventually(lambda: rows.status(paused) == rows.status(victim) == "completed", seconds=20)

    for words in (["status"], ["jobs", "show", str(paused)], ["workers"]):
        assert command(fleet, *words).code == 0, words
    doctor = command(fleet, "doctor")
    assert doctor.code == 0, doctor.out
    assert "LISTEN_DATABASE_URL: direct" in doctor.out
    assert "notifications arrive" in doctor.out

    for path in ("/readyz", "/stats", "/metrics", "/", "/jobs", f"/jobs/{paused}", "/queues", "/workers"):
        assert get(port, path), path
    with follow(port) as stream:
        add(rows, "write_line", file=effects)
        eventually(lambda: b"data:" in stream.recv(65536), what="an event of the stream")

    check_invariants(rows)
    assert rows.value("SELECT count(*) FROM workers WHERE linked AND stopped_at IS NULL") == 1
    assert sum(int(row["total_xact_count"]) for row in pooler.ask("SHOW STATS") if row["database"] != "pgbouncer") > 300
    for process in (bridge, worker, web):
        assert "is a pooler in transaction mode" not in process.output
        assert "LISTEN is lost" not in process.output
        assert "Traceback" not in process.output
        assert "geheim" not in process.output


def test_without_sessions_jobs_run_and_one_line_says_what_waits(
    new_fleet_by: Callable[..., Fleet], new_pgbouncer: NewPgBouncer, dsn: str, rows: Rows, effects: Path, tmp_path: Path
) -> None:
    pooled, gate = new_pgbouncer().before(dsn), tmp_path / "gate"
    fleet = new_fleet_by(DATABASE_URL=pooled, POLL_INTERVAL_MS="300", LEASE_MS="5000")
    bridge, doomed = fleet.bridge(), fleet.worker(threads=1)
    for process in (bridge, doomed):
        assert process.output.count(LOST) == 1

    (job,) = add(rows, "write_line_and_wait", file=effects, gate=gate)
    eventually(lambda: len(lines(effects)) == 1, what="a start by the poll")
    for child in worker_children(doomed):
        child.send_signal(signal.SIGKILL)
    doomed.wait(30)
    fleet.worker(threads=1)
    eventually(lambda: len(lines(effects)) == 2, seconds=20, what="the second start, after the lease")
    gate.touch()

    eventually(lambda: rows.status(job) == "completed")
    assert rows.outcomes(job) == ["crashed", "completed"]
    assert rows.value("SELECT count(*) FROM workers WHERE linked") == 0
    check_invariants(rows)


def test_restarts_of_the_pooler_and_a_full_pool_lose_nothing(
    new_fleet_by: Callable[..., Fleet], new_pgbouncer: NewPgBouncer, dsn: str, rows: Rows, effects: Path
) -> None:
    pooler = new_pgbouncer(default_pool_size=2)
    fleet = new_fleet_by(DATABASE_URL=pooler.before(dsn), LISTEN_DATABASE_URL=dsn, POLL_INTERVAL_MS="1000")
    bridge, worker = fleet.bridge(), fleet.worker(processes=2, threads=4)

    for round_ in range(1, 4):
        add(rows, "write_line_slowly", 200, file=effects, ms=5)
        eventually(lambda: completed(rows) > 200 * round_ - 180, seconds=60)  # noqa: B023
        if round_ == 2:
            fill(pooler.before(dsn), seconds=3)
        else:
            pooler.restart()
        eventually(lambda: completed(rows) == 200 * round_, seconds=60)  # noqa: B023

    assert len({line.split()[0] for line in lines(effects)}) == 600
    assert len(set(lines(effects))) == len(lines(effects)), "an attempt ran twice"
    assert rows.value("SELECT count(*) FROM workers WHERE stop_reason = 'lost'") == 0, "their links go past the pooler"
    check_invariants(rows)
    for process in (bridge, worker):
        assert process.popen.poll() is None
        assert "Traceback" not in process.output


def fill(pooled: str, seconds: float) -> None:
    """Two other clients keep both sessions of the pool, each in a transaction."""
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            other = stack.enter_context(psycopg.connect(pooled, application_name=f"other {uuid4()}"))
            other.execute("SELECT 1")
        time.sleep(seconds)

"""An outage of a store: all processes survive it, log its begin and end once, and continue."""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from bridge.dev.embedded import EmbeddedStores
from bridge.dev.embedded.server import pick_port
from tests.acceptance.processes import Fleet, Process
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually

OUTAGE_SECONDS = float(os.environ.get("MOBVIBE_OUTAGE_SECONDS", "5"))


@pytest.fixture
def port() -> int:
    return pick_port()


@pytest.fixture
def fleet(project: Path, stores: EmbeddedStores, port: int) -> Iterator[Fleet]:
    addresses = {"DATABASE_URL": stores.postgres.url(), "REDIS_URL": stores.redis.url}
    fleet = Fleet(project, addresses | {"LEASE_MS": "15000", "HEALTH_CHECK_PORT": str(port), "NODE_ENV": "production"})
    fleet.bridge()
    worker = fleet.start(sys.executable, "-m", "bridge", "worker", MAX_CONCURRENT_JOBS="2")
    web = fleet.start(sys.executable, "-m", "bridge", "web")
    worker.wait_for("Worker ready")
    web.wait_for("Web ready")
    yield fleet
    fleet.end_all()


def add_lines(stores: EmbeddedStores, effects: Path, count: int) -> None:
    with psycopg.connect(stores.postgres.url()) as connection:
        connection.execute(
            "INSERT INTO coding_jobs (actor, queue, payload)"
            " SELECT 'write_line', 'topic', jsonb_build_object('file', %s::text) FROM generate_series(1, %s)",
            [str(effects), count],
        )


def begin_long(stores: EmbeddedStores, tmp_path: Path) -> Path:
    """Start a job that runs until a file appears, and return the path of that file."""
    effects, gate = tmp_path / "long", tmp_path / "gate"
    with psycopg.connect(stores.postgres.url()) as connection:
        connection.execute(
            "INSERT INTO coding_jobs (actor, queue, payload)"
            " VALUES ('write_line_and_wait', 'topic', jsonb_build_object('file', %s::text, 'gate', %s::text))",
            [str(effects), str(gate)],
        )
    eventually(effects.exists, what="the long job to run")
    return gate


def end_long(stores: EmbeddedStores, tmp_path: Path, gate: Path) -> None:
    """Let the long job end, and check that it ended as without an outage."""
    gate.touch()
    with psycopg.connect(stores.postgres.url(), autocommit=True) as connection:
        rows = Rows(connection)
        eventually(lambda: rows.value("SELECT status FROM coding_jobs WHERE actor LIKE '%%wait'") == "completed")
        job_id = rows.value("SELECT id FROM coding_jobs WHERE actor LIKE '%%wait'")
        assert rows.outcomes(job_id) == ["completed"]
    assert len((tmp_path / "long").read_text().splitlines()) == 1, "one run"


def completed(stores: EmbeddedStores) -> int:
    with psycopg.connect(stores.postgres.url(), autocommit=True) as connection:
        count: int = Rows(connection).value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'")
        return count


def ready(port: int) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return answer.status, json.load(answer)["checks"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["checks"]


def warnings_of(process: Process) -> list[str]:
    """The messages at WARNING and above, and those that report the end of an outage."""
    lines = [json.loads(line) for line in process.output.splitlines() if line.startswith("{")]
    texts = [line["msg"] for line in lines if line["level"] >= 40 or "again" in line["msg"] or "is back" in line["msg"]]
    # Whether jobs are handed over again depends on which messages were in Redis when the outage began.
    return [text for text in texts if text != "Jobs handed over again"]


def logs_exactly(process: Process, *lines: str) -> None:
    """Check that the process logs exactly these, each once. Some threads notice the end of an outage a moment later."""
    with suppress(AssertionError):
        eventually(lambda: sorted(warnings_of(process)) == sorted(lines))
    assert sorted(warnings_of(process)) == sorted(lines)


def check_all_run(fleet: Fleet) -> None:
    for process in fleet.processes:
        assert process.popen.poll() is None, process.output[-2000:]
        assert "Traceback" not in process.output, process.output[-4000:]


def test_processes_survive_an_outage_of_redis(fleet: Fleet, stores: EmbeddedStores, port: int, tmp_path: Path) -> None:
    bridge, worker, _ = fleet.processes
    effects = tmp_path / "effects"
    add_lines(stores, effects, 5)
    eventually(lambda: completed(stores) == 5)
    assert ready(port)[0] == 200
    gate = begin_long(stores, tmp_path)
    number = urlsplit(stores.redis.url).port

    os.kill(stores.redis.pid, signal.SIGKILL)
    stores.redis.stop()
    down_at = time.monotonic()
    add_lines(stores, effects, 20)
    eventually(lambda: ready(port) == (503, {"postgres": "ok", "schema": "ok", "redis": "Redis does not answer"}))
    eventually(lambda: time.monotonic() - down_at > OUTAGE_SECONDS, seconds=2 * OUTAGE_SECONDS, what="its end")
    assert completed(stores) == 5, "they wait in Postgres"
    stores.redis.start(number)
    back_at = time.monotonic()

    eventually(lambda: completed(stores) == 25)
    assert time.monotonic() - back_at < 3, "two seconds, and what this machine takes"
    eventually(lambda: ready(port)[0] == 200)
    check_all_run(fleet)
    # The last message is there because this Redis kept no data.
    once = (
        "Redis is unreachable, trying again until it is over",
        "Redis is back",
        "Redis lost what it held, handing over again",
    )
    logs_exactly(bridge, *once)
    logs_exactly(worker, "Redis is unreachable, running jobs go on", "Redis is back")
    end_long(stores, tmp_path, gate)
    with psycopg.connect(stores.postgres.url(), autocommit=True) as connection:
        rows = Rows(connection)
        assert rows.value("SELECT max(retry_count) FROM coding_jobs") == 0
        check_invariants(rows)


def test_processes_survive_an_outage_of_postgres(
    fleet: Fleet, stores: EmbeddedStores, port: int, tmp_path: Path
) -> None:
    bridge, worker, _ = fleet.processes
    effects = tmp_path / "effects"
    add_lines(stores, effects, 5)
    eventually(lambda: completed(stores) == 5)
    gate = begin_long(stores, tmp_path)
    number = urlsplit(stores.postgres.url()).port

    os.kill(stores.postgres.pid, signal.SIGQUIT)  # as a crash leaves it
    stores.postgres.stop()
    down_at = time.monotonic()
    eventually(lambda: ready(port)[1]["postgres"] == "Postgres does not answer")
    assert ready(port)[1]["redis"] == "ok"
    eventually(lambda: time.monotonic() - down_at > OUTAGE_SECONDS, seconds=2 * OUTAGE_SECONDS, what="its end")
    stores.postgres.start(number)
    back_at = time.monotonic()
    add_lines(stores, effects, 20)

    eventually(lambda: completed(stores) == 25)
    assert time.monotonic() - back_at < 4
    eventually(lambda: ready(port)[0] == 200)
    check_all_run(fleet)
    once = ("Postgres is unreachable, trying again until it is over", "Postgres is back")
    logs_exactly(bridge, *once, "LISTEN is lost, polling meanwhile")
    logs_exactly(worker, *once)
    end_long(stores, tmp_path, gate)
    with psycopg.connect(stores.postgres.url(), autocommit=True) as connection:
        rows = Rows(connection)
        assert rows.value("SELECT count(*) FROM workers") == 1, "no worker was declared lost"
        check_invariants(rows)

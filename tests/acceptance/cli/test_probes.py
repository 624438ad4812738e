"""`mobvibe healthcheck` and real processes: one that hangs is unhealthy, one that waits for a store is healthy."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bridge.dev.embedded import EmbeddedStores
from tests.acceptance.processes import BIN, Fleet, Process
from tests.support.commands import CommandResult, mobvibe
from tests.support.ended import has_ended
from tests.support.rows import Rows
from tests.support.waiting import eventually

IMPATIENT_BRIDGE = (
    "from bridge.cli.command_line import main; from bridge.runtime import watchdog; watchdog.STALLED_SECONDS = 5.0; "
    "raise SystemExit(main())"
)
SLOW_HOOK = """
import os, pathlib, time
import dramatiq
class Model(dramatiq.Middleware):
    def before_worker_boot(self, broker, worker):
        while not pathlib.Path(os.environ["TEST_GATE"]).exists():
            time.sleep(0.05)
        print("The model is loaded")
dramatiq.get_broker().add_middleware(Model())
"""
MAX_AGE = 4.0  # seconds; there is one sign of life per second
Probe = Callable[..., CommandResult]  # roles


@pytest.fixture
def probe(outside: Fleet) -> Probe:
    return lambda *roles: mobvibe(
        "healthcheck", *roles, "--max-age", str(MAX_AGE), cwd=outside.project, **outside.environment
    )


def is_healthy(result: CommandResult) -> bool:
    assert result.code == 0, result.err
    return True


def becomes_healthy(probe: Probe, role: str) -> None:
    eventually(lambda: probe(role).code == 0, seconds=15, what=f"a {role} that is healthy again")


def becomes_unhealthy(probe: Probe, role: str, pid: int) -> None:
    line = f"the {role} process {pid} has made no progress since "
    eventually(lambda: line in probe(role).err, seconds=15, what=line)


def supervised(fleet: Fleet, **environment: str) -> tuple[Process, psutil.Process]:
    """`mobvibe worker`, and the process that runs its actors."""
    supervisor = fleet.start(sys.executable, "-m", "bridge", "worker", **environment)
    supervisor.wait_for("Worker ready")
    (dramatiq,) = psutil.Process(supervisor.popen.pid).children()
    (worker,) = [child for child in dramatiq.children() if len(child.threads()) > 3]
    return supervisor, worker


def test_a_frozen_bridge_is_unhealthy_until_it_continues(outside: Fleet, probe: Probe) -> None:
    assert "no bridge runs here" in probe("bridge").one_line()
    bridge = outside.bridge()
    assert is_healthy(probe("bridge"))

    bridge.send(signal.SIGSTOP)
    becomes_unhealthy(probe, "bridge", bridge.popen.pid)
    bridge.send(signal.SIGCONT)
    becomes_healthy(probe, "bridge")

    assert bridge.stop() == 0
    assert "no bridge runs here" in probe("bridge").one_line()
    assert not list((outside.project / ".mobvibe/liveness").iterdir())


def test_a_frozen_supervisor_and_a_frozen_worker_process_are_both_found(outside: Fleet, probe: Probe) -> None:
    supervisor, worker = supervised(outside)
    assert is_healthy(probe("worker"))

    for pid in (supervisor.popen.pid, worker.pid):
        os.kill(pid, signal.SIGSTOP)
        becomes_unhealthy(probe, "worker", pid)
        os.kill(pid, signal.SIGCONT)
        becomes_healthy(probe, "worker")

    assert supervisor.stop() == 0
    assert not list((outside.project / ".mobvibe/liveness").iterdir())


def test_a_worker_process_that_died_does_not_make_the_supervisor_unhealthy(outside: Fleet, probe: Probe) -> None:
    supervisor, worker = supervised(outside)

    worker.kill()
    supervisor.wait_for("A worker process died, starting it again")

    result = probe("worker")
    assert is_healthy(result)
    assert str(supervisor.popen.pid) in result.out
    assert str(worker.pid) not in result.out


def test_a_supervised_process_that_stays_frozen_is_replaced_with_all_slots(
    outside: Fleet, rows: Rows, tmp_path: Path
) -> None:
    outside.environment |= {"LEASE_MS": "2000"}
    outside.bridge()
    supervisor, worker = supervised(outside)
    job = rows.add_job(actor="write_line", queue="topic", payload={"file": str(tmp_path / "effects")})
    eventually(lambda: rows.status(job) == "completed")

    os.kill(worker.pid, signal.SIGSTOP)

    supervisor.wait_for("A worker process is frozen: it is killed and started again")
    eventually(lambda: supervisor.output.count("Worker ready") == 2, seconds=30, what="another worker process")
    job = rows.add_job(actor="write_line", queue="topic", payload={"file": str(tmp_path / "effects")})
    eventually(lambda: rows.status(job) == "completed", seconds=20)
    assert has_ended(worker)


@pytest.mark.parametrize(
    ("actor", "is_unhealthy"), [("hold_the_gil", True), ("compute", False), ("write_line_and_wait", False)]
)
def test_only_a_job_that_lets_no_other_thread_run_makes_its_process_unhealthy(
    outside: Fleet, probe: Probe, rows: Rows, tmp_path: Path, actor: str, is_unhealthy: bool
) -> None:
    outside.environment |= {
        "LEASE_MS": "60000"
    }  # a longer lease, because a job that stops the heartbeat would run again
    outside.bridge()
    worker = outside.worker(threads=1)
    payload = {"file": str(tmp_path / "effects"), "gate": str(tmp_path / "gate"), "seconds": 12}
    rows.add_job(actor=actor, queue="topic", payload=payload)
    eventually((tmp_path / "effects").exists)

    if is_unhealthy:
        eventually(lambda: "has made no progress" in probe("worker").err, seconds=10, what="a process that stands")
    else:
        with pytest.raises(AssertionError):
            eventually(lambda: probe("worker").code != 0, seconds=MAX_AGE + 3)

    (tmp_path / "gate").touch()
    eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'") == 1, seconds=20)
    becomes_healthy(probe, "worker")
    assert "Traceback" not in worker.output


def test_a_loop_that_hangs_makes_its_process_unhealthy(
    outside: Fleet, probe: Probe, rows: Rows, tmp_path: Path
) -> None:
    outside.bridge()
    worker = outside.worker(threads=1, TEST_STANDS_SECONDS="3")
    assert is_healthy(probe("worker"))

    rows.add_job(actor="hold_the_reports", queue="topic", payload={"gate": str(tmp_path / "gate")})

    eventually(lambda: "(reports) has made no progress since " in probe("worker").err, seconds=15)
    worker.wait_for("A loop of this process makes no progress")
    (tmp_path / "gate").touch()
    becomes_healthy(probe, "worker")
    worker.wait_for("The loop makes progress again")


def test_processes_that_wait_for_their_stores_are_healthy(outside: Fleet, probe: Probe, stores: EmbeddedStores) -> None:
    outside.environment |= {"DATABASE_URL": stores.postgres.url(), "REDIS_URL": stores.redis.url}
    bridge = outside.start(sys.executable, "-c", IMPATIENT_BRIDGE, "run")
    bridge.wait_for("Bridge ready")
    supervisor, _ = supervised(outside, TEST_STANDS_SECONDS="5")

    os.kill(stores.postgres.pid, signal.SIGQUIT)
    stores.postgres.stop()
    stores.redis.stop()
    late = [
        outside.start(sys.executable, "-c", IMPATIENT_BRIDGE, "run"),
        outside.start(str(BIN / "dramatiq"), "actors", "-p1", TEST_STANDS_SECONDS="5"),
    ]

    for process in late:
        process.wait_for("retry 6/10")
    result = probe("bridge", "worker")  # both at once: after the tenth try the late ones are gone
    assert result.code == 0, result.err
    assert [line.count(",") + 1 for line in result.out.splitlines()] == [2, 3], result.out
    for process in outside.processes:
        assert "makes no progress" not in process.output, process.output
    assert "Postgres is unreachable" in bridge.output
    assert "Redis is unreachable" in supervisor.output


def test_an_actors_package_that_loads_for_long_does_not_make_the_worker_unhealthy(
    outside: Fleet, probe: Probe, tmp_path: Path
) -> None:
    with (outside.project / "actors" / "__init__.py").open("a") as package:
        package.write(SLOW_HOOK)
    command = [str(BIN / "dramatiq"), "actors", "-p", "1", "-t", "1"]
    worker = outside.start(*command, TEST_STANDS_SECONDS="1", TEST_GATE=str(tmp_path / "gate"))
    worker.wait_for("Worker ready")

    with pytest.raises(AssertionError):
        eventually(lambda: probe("worker").code != 0, seconds=MAX_AGE)

    (tmp_path / "gate").touch()
    worker.wait_for("The model is loaded")
    assert "makes no progress" not in worker.output


def test_a_folder_that_cannot_be_written_is_logged_in_the_usual_format(outside: Fleet) -> None:
    worker = outside.worker(NODE_ENV="production", MOBVIBE_DIR="/sys/nope")

    (line,) = [line for line in worker.output.splitlines() if "will not find this process" in line]

    assert json.loads(line)["level"] == 40

"""Single processes against the stores of the test run: signals, kills, and what becomes of the jobs."""

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import psutil
import psycopg
import pytest

from bridge.dev.embedded.server import pick_port
from tests.acceptance.processes import BIN, Fleet, worker_children
from tests.support.commands import mobvibe
from tests.support.ended import alive
from tests.support.failover_loop import patient_client
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """The file to which actors write one line per run: job and fence."""
    return tmp_path / "effects"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def runs(effects: Path) -> Counter[str]:
    return Counter(effects.read_text().splitlines() if effects.exists() else [])


def add_waiting(rows: Rows, effects: Path, gate: Path, **columns: object) -> UUID:
    payload = {"file": str(effects), "gate": str(gate)}
    return rows.add_job(actor="write_line_and_wait", queue="topic", payload=payload, **columns)


def add_lines(rows: Rows, effects: Path, count: int) -> None:
    rows.all(
        "INSERT INTO coding_jobs (actor, queue, payload)"
        " SELECT 'write_line', 'topic', jsonb_build_object('file', %s::text) FROM generate_series(1, %s)",
        [str(effects), count],
    )


def completed(rows: Rows) -> int:
    count: int = rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'")
    return count


def test_honcho_runs_everything_against_outside_stores(outside: Fleet, rows: Rows, effects: Path) -> None:
    honcho = outside.start(str(BIN / "honcho"), "start", HEALTH_CHECK_PORT=str(pick_port()))
    for text in ("Bridge ready", "Worker ready", "Web ready"):
        honcho.wait_for(text)
    joined = outside.worker(processes=2, threads=4)
    eventually(lambda: rows.value("SELECT sum(slots) FROM workers WHERE stopped_at IS NULL") == 9)

    add_lines(rows, effects, 200)

    eventually(lambda: completed(rows) == 200, seconds=30)
    assert sum(runs(effects).values()) == len(runs(effects)) == 200
    assert rows.value("SELECT count(DISTINCT worker) FROM job_attempts") >= 2
    assert joined.stop() == 0
    family = honcho.descendants()
    honcho.send(signal.SIGTERM)
    honcho.wait(10)
    eventually(lambda: not alive(family))
    assert rows.value("SELECT count(*) FROM workers WHERE stopped_at IS NULL") == 0
    assert "Traceback" not in honcho.output + joined.output
    check_invariants(rows)


def test_a_job_inserted_with_plain_sql_is_in_its_workers_queue_from_the_start(
    outside: Fleet, rows: Rows, effects: Path
) -> None:
    rows.all("""
        CREATE OR REPLACE FUNCTION route_jobs(p_limit integer)
        RETURNS TABLE (actor text, queue text, jobs bigint, routed_to text) LANGUAGE sql
        AS $$ SELECT NULL::text, NULL::text, NULL::bigint, NULL::text WHERE false $$""")  # jobs are not moved later
    outside.bridge()
    worker = outside.start(str(BIN / "dramatiq"), "actors", "-p", "1", "-t", "2", "--queues", "topic")
    worker.wait_for("Worker ready")

    job = rows.add_job(actor="write_line", payload={"file": str(effects)})

    eventually(lambda: rows.status(job) == "completed", seconds=10)
    assert (rows.job(job)["queue"], sum(runs(effects).values())) == ("topic", 1)


def test_a_killed_worker_child_costs_one_attempt(outside: Fleet, rows: Rows, effects: Path, gate: Path) -> None:
    outside.bridge()
    doomed = outside.worker()
    job_id = add_waiting(rows, effects, gate)
    eventually(effects.exists)

    for child in worker_children(doomed):
        child.send_signal(signal.SIGKILL)
    doomed.wait(20)
    outside.worker()
    eventually(lambda: rows.job(job_id)["fence"] == 2 and rows.job(job_id)["exec"], seconds=20)
    gate.touch()

    eventually(lambda: rows.job(job_id)["status"] == "completed")
    assert rows.outcomes(job_id) == ["crashed", "completed"]
    assert rows.job(job_id)["retry_count"] == 1
    assert set(runs(effects).values()) == {1}
    check_invariants(rows)


def test_a_drained_worker_ends_its_jobs_and_takes_no_others_until_it_is_resumed(
    outside: Fleet, rows: Rows, effects: Path, gate: Path
) -> None:
    outside.bridge()
    outside.worker(threads=4)
    first = add_waiting(rows, effects, gate)
    eventually(effects.exists)
    drained = rows.value("SELECT id FROM workers")

    rows.all("SELECT drain_worker(%s)", [drained])
    eventually(lambda: rows.value("SELECT draining FROM workers"), seconds=3, what="an obeyed drain")
    gate.touch()
    eventually(lambda: rows.job(first)["status"] == "completed")
    add_lines(rows, effects, 10)
    other = outside.worker(threads=1)
    eventually(lambda: completed(rows) == 11, seconds=20)
    by_worker = rows.all("SELECT worker, count(*) FROM job_attempts WHERE job_id <> %s GROUP BY 1", [first])
    assert [(row["worker"] == drained, row["count"]) for row in by_worker] == [(False, 10)]

    assert other.stop() == 0
    rows.all("SELECT resume_worker(%s)", [drained])
    last = add_waiting(rows, effects, gate)
    eventually(lambda: rows.job(last)["status"] == "completed", seconds=5)
    check_invariants(rows)


def test_the_supervisor_restarts_dead_workers(outside: Fleet, rows: Rows, effects: Path, gate: Path) -> None:
    outside.bridge()
    supervisor = outside.start(sys.executable, "-m", "bridge", "worker")
    supervisor.wait_for("Worker ready")
    job_id = add_waiting(rows, effects, gate)
    eventually(effects.exists)

    (dramatiq,) = psutil.Process(supervisor.popen.pid).children()
    dramatiq.children()[0].send_signal(signal.SIGKILL)

    eventually(lambda: rows.job(job_id)["fence"] == 2 and rows.job(job_id)["exec"], seconds=20)
    gate.touch()
    eventually(lambda: rows.job(job_id)["status"] == "completed")
    assert "A worker process died, starting it again" in supervisor.output
    family = supervisor.descendants()
    assert supervisor.stop() == 0
    assert not [p for p in family if p.is_running()]


@pytest.mark.parametrize(
    ("mistake", "reason"), [("def broken(:\n", "SyntaxError"), ("actor(max_retry=2)(print)\n", "max_retry")]
)
def test_a_mistake_in_the_actors_package_is_reported_and_not_retried_for_ever(
    outside: Fleet, project: Path, mistake: str, reason: str
) -> None:
    with (project / "actors" / "extra_actors.py").open("a") as module:
        module.write(mistake)

    supervisor = outside.start(sys.executable, "-m", "bridge", "worker")

    assert supervisor.wait(20) == 2
    last = supervisor.output.strip().splitlines()[-1]
    assert "The actors package 'actors' cannot be imported" in last
    assert reason in last


def test_workers_end_when_their_supervisor_is_killed(outside: Fleet, rows: Rows) -> None:
    supervisor = outside.start(sys.executable, "-m", "bridge", "worker")
    supervisor.wait_for("Worker ready")
    family = supervisor.descendants()
    assert len(family) >= 2

    supervisor.send(signal.SIGKILL)
    supervisor.wait(10)

    eventually(lambda: not alive(family), seconds=20)
    assert rows.value("SELECT stop_reason FROM workers") == "stopped"


def test_killing_the_bridge_again_and_again_loses_nothing(outside: Fleet, rows: Rows, effects: Path) -> None:
    outside.worker(processes=2, threads=4)
    for _ in range(5):
        bridge = outside.bridge()
        add_lines(rows, effects, 300)
        eventually(lambda: completed(rows) % 300 > 20)
        bridge.send(signal.SIGKILL)
        bridge.wait(10)
    outside.bridge()

    eventually(lambda: completed(rows) == 1500, seconds=60)

    assert max(runs(effects).values()) == 1
    assert len({line.split()[0] for line in runs(effects)}) == 1500
    check_invariants(rows)


def test_emptying_redis_again_and_again_loses_nothing(
    outside: Fleet, rows: Rows, effects: Path, redis_url: str
) -> None:
    outside.bridge()
    outside.worker(processes=2, threads=4)
    with patient_client(redis_url) as client:
        for round_ in range(1, 6):
            add_lines(rows, effects, 300)
            for part in (50, 100, 200):
                eventually(lambda: completed(rows) >= (round_ - 1) * 300 + part or not client.flushdb(), seconds=60)  # noqa: B023
                client.flushdb()
            eventually(lambda: completed(rows) == round_ * 300, seconds=60)  # noqa: B023

    assert max(runs(effects).values()) == 1, "an attempt ran twice"
    assert rows.value("SELECT max(retry_count) FROM coding_jobs") == 0
    assert len({line.split()[0] for line in runs(effects)}) == 1500
    check_invariants(rows)


def test_a_stopped_worker_finishes_what_it_can(outside: Fleet, rows: Rows, effects: Path, gate: Path) -> None:
    outside.bridge()
    worker = outside.worker(threads=1)
    job_id = add_waiting(rows, effects, gate)
    eventually(effects.exists)

    worker.send(signal.SIGTERM)
    worker.wait_for("Shutting down")
    gate.touch()

    assert worker.wait(20) == 0
    assert rows.outcomes(job_id) == ["completed"]


@pytest.mark.parametrize("ignores_interrupts", [False, True])
def test_a_stopped_worker_hands_back_what_it_cannot_finish(
    outside: Fleet, rows: Rows, effects: Path, gate: Path, project: Path, ignores_interrupts: bool
) -> None:
    if ignores_interrupts:  # one long call that no exception can reach
        module = project / "actors" / "extra_actors.py"
        module.write_text(module.read_text().replace("time.sleep(0.02)", "time.sleep(600)"))
    outside.bridge()
    worker = outside.worker(threads=1, SHUTDOWN_TIMEOUT_MS="300")
    job_id = add_waiting(rows, effects, gate)
    eventually(effects.exists)

    assert worker.stop(15) == 0

    assert "Shutdown timeout - job may be incomplete" in worker.output
    job = rows.job(job_id)
    assert (job["status"], job["retry_count"]) == ("pending", 0)
    assert rows.outcomes(job_id) == ["released"]
    gate.touch()
    outside.worker()
    eventually(lambda: rows.job(job_id)["status"] == "completed")
    check_invariants(rows)


def test_a_signal_to_the_whole_group_is_one_signal(outside: Fleet, rows: Rows, effects: Path, gate: Path) -> None:
    outside.bridge()
    worker = outside.worker(processes=2, threads=1)
    job_id = add_waiting(rows, effects, gate)
    eventually(effects.exists)

    os.killpg(worker.popen.pid, signal.SIGTERM)
    worker.wait_for("Shutting down")
    gate.touch()

    assert worker.wait(20) == 0
    assert rows.outcomes(job_id) == ["completed"]


def test_a_second_signal_ends_the_workers_at_once(outside: Fleet, rows: Rows, effects: Path, gate: Path) -> None:
    worker = outside.worker(threads=1)
    outside.bridge()
    add_waiting(rows, effects, gate)
    eventually(effects.exists)
    worker.send(signal.SIGTERM)
    worker.wait_for("Shutting down")
    eventually(
        lambda: time.time() - worker.log.stat().st_mtime > 1.1,
        what="the time after which a signal counts as a second one",
    )

    family = worker.descendants()
    assert family

    worker.send(signal.SIGTERM)

    assert worker.wait(5) == 1
    eventually(lambda: not alive(family))


def test_after_the_bridge_stopped_every_hand_over_is_in_redis(outside: Fleet, rows: Rows, redis_url: str) -> None:
    bridge = outside.bridge()
    # A worker that takes no messages: jobs that are handed over for it stay in Redis.
    rows.all(
        """INSERT INTO workers (id, name, slots, queues, actors, version, lease_expires_at)
           VALUES (gen_random_uuid(), 'idle', 20, '{coding}', '{run_coding_session}', '0', now() + interval '1 hour')"""
    )
    rows.all("INSERT INTO coding_jobs (prompt) SELECT 'x' FROM generate_series(1, 50)")
    eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'processing'") > 0)

    assert bridge.stop(15) == 0

    assert "Bridge stopped cleanly" in bridge.output
    with patient_client(redis_url) as client:
        handed_over = client.llen("mobvibe:coding")
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'processing'") == handed_over == 20


def test_a_second_signal_ends_the_bridge_at_once(outside: Fleet, rows: Rows, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        # The dispatcher waits for this lock, for seconds: the bridge cannot stop cleanly meanwhile.
        bridge = outside.bridge(POLL_INTERVAL_MS="100")
        connection.execute("LOCK TABLE coding_jobs IN ACCESS EXCLUSIVE MODE")
        eventually(lambda: rows.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") > 0)

        bridge.send(signal.SIGTERM)
        told = time.monotonic()
        bridge.wait_for("Received shutdown signal")
        eventually(lambda: time.monotonic() - told > 1.1, what="the time after which a signal counts as a second one")
        bridge.send(signal.SIGTERM)

        assert bridge.wait(1.5) == 128 + signal.SIGTERM


def test_production_logs_are_json_lines(outside: Fleet, rows: Rows, effects: Path) -> None:
    bridge = outside.bridge(NODE_ENV="production")
    worker = outside.worker(NODE_ENV="production")
    add_lines(rows, effects, 1)
    eventually(lambda: completed(rows) == 1)
    worker.wait_for("Job completed")

    lines = [json.loads(line) for line in bridge.output.splitlines()]
    lines += [json.loads(line) for line in worker.output.splitlines() if line.startswith("{")]
    told = {line["msg"]: line for line in lines}
    for text in ("New job notification received", "Processing job", "Job completed", "Queue statistics"):
        assert {"level", "time", "pid", "hostname"} <= set(told[text])
    assert {"jobId", "fence", "attempt", "queue", "duration"} <= set(told["Job completed"])


def test_jobs_of_the_sample_actor_wait_in_production(outside: Fleet, rows: Rows) -> None:
    bridge = outside.bridge()
    worker = outside.worker(NODE_ENV="production")
    job_id = rows.add_job(session_id=rows.add_session(), prompt="```sh\necho geheim > /tmp/x\n```")

    bridge.wait_for("Jobs wait: no live worker knows their actor")

    assert rows.status(job_id) == "pending"
    assert rows.attempts(job_id) == []
    assert "run_coding_session is not registered, and its jobs wait: " in worker.output
    result = mobvibe("status", cwd=outside.project, **outside.environment)
    assert "1 wait for actor 'run_coding_session'" in result.out
    assert "ACTORS_MODULE" in result.out


def test_a_package_that_reconfigures_logging_does_not_silence_its_worker(
    outside: Fleet, rows: Rows, tmp_path: Path
) -> None:
    with (outside.project / "actors" / "__init__.py").open("a") as package:
        package.write("import logging.config\nlogging.config.dictConfig({'version': 1, 'root': {'level': 'ERROR'}})\n")
    outside.bridge()
    worker = outside.start(sys.executable, "-m", "bridge", "worker", LOG_FORMAT="json")

    job = rows.add_job(actor="write_line", queue="topic", payload={"file": str(tmp_path / "effects")})
    eventually(lambda: rows.status(job) == "completed", seconds=30)

    assert worker.stop() == 0
    messages = [json.loads(line)["msg"] for line in worker.output.splitlines() if str(job) in line]
    assert messages == ["Processing job", "Job completed"]


def test_a_worker_without_settings_says_so_in_one_line(outside: Fleet) -> None:
    outside.environment = {}
    worker = outside.start(str(BIN / "dramatiq"), "actors", "-p", "1", "-t", "1")

    assert worker.wait(20) == 1
    assert "mobvibe: DATABASE_URL is missing" in worker.output
    assert "Traceback" not in worker.output


def test_a_worker_without_a_schema_says_so_in_one_line(outside: Fleet, empty_dsn: str) -> None:
    worker = outside.start(str(BIN / "dramatiq"), "actors", "-p", "1", "-t", "1", DATABASE_URL=empty_dsn)

    assert worker.wait(20) == 4
    assert (
        "This worker cannot start: The database is not set up for the bridge. Run: mobvibe migrate up" in worker.output
    )
    assert "Traceback" not in worker.output


def test_the_bridge_waits_for_a_store_and_says_so(outside: Fleet) -> None:
    bridge = outside.start(sys.executable, "-m", "bridge", "run", REDIS_URL="redis://:geheim@127.0.0.1:9/0")

    bridge.wait_for("Cannot reach Redis at 127.0.0.1:9")

    assert "retry 1/10" in bridge.output
    assert "geheim" not in bridge.output


def test_a_stop_signal_ends_the_wait_for_a_store(outside: Fleet) -> None:
    bridge = outside.start(sys.executable, "-m", "bridge", "run", DATABASE_URL="postgresql://127.0.0.1:9/mobvibe")
    bridge.wait_for("retry 3/10")

    assert bridge.stop(15) == 0

    assert "tried 10 times" not in bridge.output
    assert "Traceback" not in bridge.output


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "command", [[str(BIN / "dramatiq"), "actors", "-p", "2"], [sys.executable, "-m", "bridge", "worker"]]
)
@pytest.mark.parametrize(
    "away", [{"DATABASE_URL": "postgresql://127.0.0.1:9/mobvibe"}, {"REDIS_URL": "redis://127.0.0.1:9/0"}]
)
def test_a_stop_signal_ends_a_worker_that_waits_for_a_store(
    outside: Fleet, command: list[str], away: dict[str, str], signum: signal.Signals
) -> None:
    worker = outside.start(*command, **away)
    worker.wait_for("retry 5/10")
    told = worker.output

    os.killpg(worker.popen.pid, signum) if signum == signal.SIGINT else worker.send(signum)

    assert worker.wait(4) in (0, 128 + signum)
    assert "Traceback" not in worker.output
    # Each of two processes may have tried once more before the signal reached it.
    assert "Cannot reach" not in worker.output.removeprefix(told).rpartition("Stopping worker process")[2]


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *_: None"])
def test_a_worker_stops_though_its_actors_package_handles_stop_signals(outside: Fleet, handler: str) -> None:
    with (outside.project / "actors" / "__init__.py").open("a") as package:
        package.write(
            f"import signal\nsignal.signal(signal.SIGTERM, {handler})\nsignal.signal(signal.SIGHUP, {handler})\n"
        )
    supervisor = outside.start(sys.executable, "-m", "bridge", "worker")
    supervisor.wait_for("Worker ready")
    family = supervisor.descendants()

    began = time.monotonic()
    assert supervisor.stop() == 0

    assert time.monotonic() - began < 10, "it stopped, and was not killed"
    assert "The actors package has taken a stop signal" in supervisor.output
    eventually(lambda: not alive(family))


CHAINS = """
import signal
for signum in (signal.SIGTERM, signal.SIGHUP):
    def chain(*of_signal, found=signal.getsignal(signum)):
        print("their handler")
        found(*of_signal)
    signal.signal(signum, chain)
"""
PASSES_ON = """
import signal
def pass_on(signum, frame, found=signal.getsignal(signal.SIGTERM)):
    print("their handler")
    signal.signal(signum, found)
    signal.raise_signal(signum)
signal.signal(signal.SIGTERM, pass_on)
"""
RAISES = """
import signal, sys
def leave(*_):
    print("their handler")
    sys.exit(0)
for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(signum, leave)
"""
DOES_NOTHING = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: print('their handler'))\n"
IGNORES = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('their handler')\n"


def handle_signals(outside: Fleet, before: str, after: str) -> None:
    """Add code to the actors package, before and after it calls connect_broker()."""
    package = outside.project / "actors" / "__init__.py"
    package.write_text(before + package.read_text() + after)


@pytest.mark.parametrize(
    ("before", "after", "signum", "called"),
    [
        (CHAINS, "", signal.SIGTERM, 1),
        ("", CHAINS, signal.SIGTERM, 1),
        (CHAINS, CHAINS, signal.SIGTERM, 2),
        (PASSES_ON, "", signal.SIGTERM, 1),
        ("", PASSES_ON, signal.SIGTERM, 1),
        (RAISES, "", signal.SIGTERM, 1),
        ("", RAISES, signal.SIGTERM, 1),
        ("", RAISES, signal.SIGINT, 1),
        (RAISES, CHAINS, signal.SIGTERM, 2),
        (DOES_NOTHING, "", signal.SIGTERM, 1),
        ("", DOES_NOTHING, signal.SIGTERM, 1),
        (IGNORES, "", signal.SIGTERM, 1),
    ],
)
def test_one_stop_signal_counts_once_whatever_handlers_the_package_sets(
    outside: Fleet, rows: Rows, effects: Path, gate: Path, before: str, after: str, signum: signal.Signals, called: int
) -> None:
    handle_signals(outside, before, after)
    outside.bridge()
    worker = outside.worker(threads=1)
    job_id = add_waiting(rows, effects, gate)
    eventually(effects.exists)

    os.killpg(worker.popen.pid, signum)  # by itself, and passed on by the parent
    worker.wait_for("Shutting down")
    gate.touch()

    assert worker.wait(20) == 0
    assert rows.outcomes(job_id) == ["completed"]
    # For a moment `pass_on` leaves Dramatiq's handler alone: a signal within its log line makes it write that twice.
    passes_on = PASSES_ON in (before, after)
    assert worker.output.count("Stopping worker process") in ((1, 2) if passes_on else (1,))
    assert worker.output.count("their handler") == called
    # A second write within the first one may also raise, in Python itself.
    assert passes_on or ("handler of a stop signal raised" in worker.output) == (RAISES in (before, after))


@pytest.mark.parametrize(("before", "after"), [(CHAINS, ""), ("", CHAINS), (RAISES, "")])
def test_the_second_signal_ends_the_workers_at_once_whatever_handlers_the_package_sets(
    outside: Fleet, rows: Rows, effects: Path, gate: Path, before: str, after: str
) -> None:
    handle_signals(outside, before, after)
    test_a_second_signal_ends_the_workers_at_once(outside, rows, effects, gate)


def test_a_worker_that_does_not_stop_is_killed_with_its_child_processes(outside: Fleet) -> None:
    """Here the package blocks the signal, so that no handler is called."""
    with (outside.project / "actors" / "__init__.py").open("a") as package:
        package.write("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n")
    supervisor = outside.start(sys.executable, "-m", "bridge", "worker", SHUTDOWN_TIMEOUT_MS="1000")
    supervisor.wait_for("Worker ready")
    family = supervisor.descendants()

    assert supervisor.stop() == 0

    eventually(lambda: not alive(family))

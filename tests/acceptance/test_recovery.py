"""What a lost process, link or store costs: some time, but no attempt of a live worker."""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.acceptance.processes import Fleet, worker_children
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually

WORKER_OF_EACH_JOB = "SELECT j.id, w.name FROM coding_jobs j JOIN workers w ON w.id = j.worker"


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """The file to which actors write one line per run: job and fence."""
    return tmp_path / "effects"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    gate = tmp_path / "gate"
    yield gate
    gate.touch()


def runs(effects: Path) -> Counter[str]:
    return Counter(effects.read_text().splitlines() if effects.exists() else [])


def add_waiting(rows: Rows, effects: Path, gate: Path, **columns: object) -> UUID:
    payload = {"file": str(effects), "gate": str(gate)}
    return rows.add_job(actor="write_line_and_wait", queue="topic", payload=payload, **columns)


def started(rows: Rows, job_id: UUID, fence: int) -> bool:
    return rows.job(job_id)["fence"] == fence and rows.job(job_id)["exec"] is not None


def test_the_jobs_of_a_killed_worker_run_again_long_before_its_lease_is_over(
    outside: Fleet, rows: Rows, effects: Path, gate: Path
) -> None:
    outside.bridge(LEASE_MS="60000")
    outside.worker(threads=1, LEASE_MS="60000")
    doomed = outside.worker(threads=1, LEASE_MS="60000")
    jobs = [add_waiting(rows, effects, gate) for _ in range(2)]
    eventually(lambda: all(started(rows, job_id, 1) for job_id in jobs))
    outside.worker(threads=1, LEASE_MS="60000")
    (child,) = worker_children(doomed)
    lost = rows.value(
        "SELECT j.id FROM coding_jobs j JOIN workers w ON w.id = j.worker WHERE w.name LIKE %s", [f"%:{child.pid}"]
    )

    child.send_signal(signal.SIGKILL)

    began = time.monotonic()
    eventually(lambda: started(rows, lost, 2), seconds=10, what="the second start")
    assert time.monotonic() - began < 5
    gate.touch()
    eventually(lambda: all(rows.job(job_id)["status"] == "completed" for job_id in jobs))
    assert sorted(len(rows.outcomes(job_id)) for job_id in jobs) == [1, 2]
    assert rows.outcomes(lost) == ["crashed", "completed"]
    check_invariants(rows)


def test_a_worker_whose_link_broke_is_not_declared_lost(outside: Fleet, rows: Rows, effects: Path, gate: Path) -> None:
    outside.bridge()
    worker = outside.worker(processes=2, threads=2)
    jobs = [add_waiting(rows, effects, gate) for _ in range(4)]
    eventually(lambda: all(started(rows, job_id, 1) for job_id in jobs))

    for whose in ("mobvibe heartbeat", "mobvibe %", "mobvibe heartbeat", "mobvibe %"):
        since = rows.value("SELECT clock_timestamp()")
        rows.all(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name LIKE %s AND datname = current_database() AND pid <> pg_backend_pid()",
            [whose],
        )
        eventually(
            lambda: (
                rows.value(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mobvibe heartbeat'"
                    " AND datname = current_database() AND backend_start > %s AND state = 'idle'",
                    [since],  # noqa: B023
                )
                == 2
            ),
            what="new heartbeat links",
        )
    watched_since = rows.value("SELECT clock_timestamp()")
    eventually(  # the bridge watches again, and has checked more often than it takes to declare a worker lost
        lambda: rows.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mobvibe recovery'"
            " AND datname = current_database() AND query_start > %s + interval '4 s'",
            [watched_since],
        )
    )
    gate.touch()
    eventually(lambda: all(rows.job(job_id)["status"] == "completed" for job_id in jobs))

    assert {outcome for job_id in jobs for outcome in rows.outcomes(job_id)} == {"completed"}
    assert set(runs(effects).values()) == {1}
    assert rows.value("SELECT count(*) FROM workers WHERE stop_reason = 'lost'") == 0
    assert "declared lost" not in worker.output


def test_a_dead_worker_process_leaves_its_siblings_alone(outside: Fleet, rows: Rows, effects: Path, gate: Path) -> None:
    outside.bridge(LEASE_MS="60000")
    supervisor = outside.start(
        sys.executable, "-m", "bridge", "worker", MAX_CONCURRENT_JOBS="2", WORKER_PROCESSES="2", LEASE_MS="60000"
    )
    eventually(lambda: supervisor.output.count("Worker ready") == 2, seconds=30)
    jobs = [add_waiting(rows, effects, gate) for _ in range(2)]
    eventually(lambda: all(started(rows, job_id, 1) for job_id in jobs))
    names = {row["id"]: row["name"] for row in rows.all(WORKER_OF_EACH_JOB)}
    assert len(set(names.values())) == 2, "one each"

    os.kill(int(names[jobs[0]].rpartition(":")[2]), signal.SIGKILL)

    eventually(lambda: supervisor.output.count("Worker ready") == 3, seconds=20, what="a new process")
    eventually(lambda: started(rows, jobs[0], 2), seconds=20)
    gate.touch()
    eventually(lambda: all(rows.job(job_id)["status"] == "completed" for job_id in jobs))
    assert rows.outcomes(jobs[0]) == ["crashed", "completed"]
    assert rows.outcomes(jobs[1]) == ["completed"], "the sibling's job was not disturbed"
    assert supervisor.stop() == 0
    check_invariants(rows)


def test_a_job_that_kills_its_worker_fails_and_the_jobs_beside_it_complete(
    outside: Fleet, rows: Rows, effects: Path
) -> None:
    outside.bridge()
    supervisor = outside.start(sys.executable, "-m", "bridge", "worker", MAX_CONCURRENT_JOBS="8", WORKER_PROCESSES="2")
    eventually(lambda: supervisor.output.count("Worker ready") == 2, seconds=30)
    rows.all(
        "INSERT INTO coding_jobs (actor, queue, payload, priority)"
        " SELECT 'write_line_slowly', 'topic', jsonb_build_object('file', %s::text, 'ms', 200), n %% 2"
        " FROM generate_series(1, 40) n",
        [str(effects)],
    )
    poison = rows.add_job(actor="kill_the_process", queue="topic", payload={"file": str(effects)}, max_retries=3)

    eventually(lambda: rows.job(poison)["status"] == "failed", seconds=60, what="the end of the poison")
    eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'") == 40, seconds=30)

    assert rows.job(poison)["error_message"].startswith("crashed")
    assert rows.outcomes(poison) == ["crashed"] * 3
    assert rows.job(poison)["crashes"] == 6, "each end of its worker pointed at it"
    assert rows.value("SELECT max(crashes) FROM coding_jobs WHERE id <> %s", [poison]) <= 1, "and at no other job"
    assert sum(count for line, count in runs(effects).items() if line.startswith(str(poison))) == 3
    crashes = rows.all(
        "SELECT job_id, count(*) FROM job_attempts WHERE outcome = 'crashed' AND job_id <> %s GROUP BY 1", [poison]
    )
    assert all(row["count"] == 1 for row in crashes), "no other job crashed twice"
    assert rows.value("SELECT count(*) FROM workers WHERE stopped_at IS NULL") >= 1
    assert supervisor.popen.poll() is None
    check_invariants(rows)


@pytest.mark.parametrize(
    "how", [{"code": 0}, {"code": 2}, {"code": 4}, {"signal": int(signal.SIGSEGV)}], ids=["0", "2", "4", "SIGSEGV"]
)
def test_no_exit_code_of_a_job_ends_more_than_its_process(
    outside: Fleet, rows: Rows, effects: Path, how: dict[str, int]
) -> None:
    outside.bridge()
    supervisor = outside.start(sys.executable, "-m", "bridge", "worker", MAX_CONCURRENT_JOBS="4", WORKER_PROCESSES="2")
    eventually(lambda: supervisor.output.count("Worker ready") == 2, seconds=30)
    poison = rows.add_job(actor="kill_the_process", queue="topic", payload={"file": str(effects)} | how, max_retries=2)
    neighbours = [
        rows.add_job(actor="write_line_slowly", queue="topic", payload={"file": str(effects), "ms": 200})
        for _ in range(8)
    ]

    eventually(lambda: rows.job(poison)["status"] == "failed", seconds=60, what="the end of the poison")
    eventually(lambda: all(rows.job(job_id)["status"] == "completed" for job_id in neighbours), seconds=30)

    assert rows.outcomes(poison) == ["crashed"] * 2
    assert supervisor.popen.poll() is None
    assert "cannot" not in supervisor.output
    check_invariants(rows)


@pytest.mark.parametrize("how", ["call", "loop"])
def test_an_actor_that_no_exception_ends_is_ended_with_its_process(
    outside: Fleet, rows: Rows, effects: Path, gate: Path, how: str
) -> None:
    outside.bridge()
    supervisor = outside.start(
        sys.executable, "-m", "bridge", "worker", MAX_CONCURRENT_JOBS="3", TEST_DEAF_SECONDS="1.5"
    )
    supervisor.wait_for("Worker ready")
    payload = {"file": str(effects), "how": how}
    neighbour = add_waiting(rows, effects, gate)
    cancelled = rows.add_job(actor="deaf", queue="topic", payload=payload)
    eventually(lambda: len(runs(effects)) == 2)
    rows.all("SELECT cancel_job(%s)", [cancelled])
    eventually(lambda: rows.job(cancelled)["status"] == "cancelled", seconds=20, what="the end of the cancelled")
    assert rows.outcomes(cancelled) == ["cancelled"]
    eventually(lambda: started(rows, neighbour, 2), seconds=20, what="the second start of the job beside it")

    late = rows.add_job(actor="deaf_with_limit", queue="topic", payload=payload, max_retries=1)
    eventually(lambda: rows.job(late)["status"] == "failed", seconds=20, what="the end of the late one")
    assert rows.job(late)["error_message"].startswith("the time limit was exceeded, and no exception")
    assert rows.outcomes(late) == ["failed"]

    gate.touch()
    eventually(lambda: rows.job(neighbour)["status"] == "completed", seconds=20)
    assert rows.outcomes(neighbour) == ["released", "released", "completed"]
    assert rows.job(neighbour)["retry_count"] == 0
    assert supervisor.popen.poll() is None
    check_invariants(rows)

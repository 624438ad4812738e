"""The whole path of a job: a row, the bridge, Redis, an actor, the report."""

import threading

import psycopg
import pytest

from bridge import enqueue
from tests.support.failover_loop import patient_client
from tests.support.fleet import Add, Fleet, NewFleet, finished
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_a_committed_job_runs_and_its_result_is_stored(fleet: Fleet, rows: Rows, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        job_id = enqueue(connection, "double", {"n": 21})

    job = finished(rows, job_id)

    assert (job["status"], job["result"], job["queue"]) == ("completed", {"twice": 42}, "tests")
    assert rows.outcomes(job_id) == ["completed"]
    check_invariants(rows)


def test_a_rolled_back_job_never_runs(fleet: Fleet, rows: Rows, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        gone = enqueue(connection, "double", {"n": 1})
        connection.rollback()
        job_id = enqueue(connection, "double", {"n": 2})

    finished(rows, job_id)

    assert fleet.actor_log.starts(gone) == 0


def test_many_jobs_all_run_once(fleet: Fleet, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (actor, queue, payload)"
        " SELECT 'double', 'tests', jsonb_build_object('n', i) FROM generate_series(1, 500) i"
    )

    eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status <> 'completed'") == 0, seconds=30)

    assert len(fleet.actor_log.started) == 500
    check_invariants(rows)


def test_a_worker_that_was_declared_lost_stops_and_registers_again(quick_fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("wait_at_gate")
    eventually(lambda: quick_fleet.actor_log.starts(job_id) == 1)

    rows.all("UPDATE workers SET stopped_at = now(), stop_reason = 'lost' WHERE stopped_at IS NULL")
    eventually(lambda: quick_fleet.actor_log.interrupted == ["LeaseLostError"])
    quick_fleet.actor_log.gates["gate"].set()

    job = finished(rows, job_id)
    assert (job["status"], job["result"]) == ("completed", {"fence": 2})
    assert rows.outcomes(job_id) == ["crashed", "completed"]
    assert rows.value("SELECT count(*) FROM workers WHERE stopped_at IS NULL") == 1
    check_invariants(rows)


def test_a_stopping_worker_hands_back_what_does_not_end_in_time(new_fleet: NewFleet, rows: Rows, add: Add) -> None:
    hasty = new_fleet(shutdown_timeout_ms=100)
    hasty.start_worker(threads=1)
    hasty.start_bridge()
    running, waiting = add("wait_at_gate"), add("wait_at_gate")
    eventually(lambda: hasty.actor_log.starts(running) == 1)

    hasty.workers[0].stop()

    for job_id in (running, waiting):
        job = rows.job(job_id)
        assert (job["status"], job["retry_count"]) == ("pending", 0), job_id
    assert hasty.actor_log.interrupted == ["WorkerStoppingError"]
    assert rows.outcomes(running) == ["released"]
    assert rows.value("SELECT stop_reason FROM workers ORDER BY started_at DESC LIMIT 1") == "stopped"
    check_invariants(rows)


def test_a_stopping_worker_lets_a_short_job_end(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("wait_at_gate")
    eventually(lambda: fleet.actor_log.starts(job_id) == 1)
    worker = fleet.workers[0]
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    eventually(lambda: fleet.broker.draining)

    fleet.actor_log.gates["gate"].set()

    stopping.join(10)
    assert rows.job(job_id)["status"] == "completed"


def test_no_job_is_lost_when_redis_loses_everything(new_fleet: NewFleet, rows: Rows, add: Add, redis_url: str) -> None:
    quick = new_fleet(lease_ms=1500)
    quick.start_worker()
    job_ids = [add("double", {"n": n}) for n in range(4)]
    client = patient_client(redis_url)
    quick.broker.draining = True  # no worker takes what the bridge hands over
    quick.start_bridge()
    eventually(lambda: client.llen("mobvibe:tests") == 4)

    client.flushdb()
    quick.broker.draining = False

    finished(rows, *job_ids)
    assert {rows.job(job_id)["retry_count"] for job_id in job_ids} == {0}
    assert all(quick.actor_log.starts(job_id) == 1 for job_id in job_ids)
    check_invariants(rows)


def test_a_job_of_an_unknown_actor_waits_and_runs_when_a_worker_knows_it(
    fleet: Fleet, rows: Rows, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = add("not_written_yet")
    eventually(lambda: "no live worker knows their actor" in caplog.text, seconds=15)
    assert (rows.job(job_id)["status"], rows.job(job_id)["fence"]) == ("pending", 0)

    rows.all("UPDATE coding_jobs SET actor = 'double', payload = '{\"n\": 1}' WHERE id = %s", [job_id])
    rows.all("NOTIFY new_job")

    assert finished(rows, job_id)["status"] == "completed"


@pytest.mark.steady_redis
def test_a_scheduled_job_starts_on_time(fleet: Fleet, rows: Rows) -> None:
    job_id = rows.value(
        "INSERT INTO coding_jobs (actor, queue, payload, run_at)"
        " VALUES ('double', 'tests', '{\"n\": 1}', clock_timestamp() + interval '700 ms') RETURNING id"
    )

    finished(rows, job_id)

    late = rows.value("SELECT extract(epoch FROM started_at - run_at) FROM coding_jobs WHERE id = %s", [job_id])
    assert 0 <= late < 2


def test_jobs_run_though_every_link_to_postgres_breaks(fleet: Fleet, rows: Rows, add: Add) -> None:
    for round_ in range(5):
        job_ids = [add("double", {"n": n}) for n in range(20)]
        rows.all(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'mobvibe %%' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        finished(rows, *job_ids, seconds=45)
        assert {rows.job(job_id)["status"] for job_id in job_ids} == {"completed"}, round_
    check_invariants(rows)

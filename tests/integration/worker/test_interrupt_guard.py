"""A running actor is interrupted during its own call, and its thread survives."""

import threading
import time

from tests.support.fleet import Add, AtTheEnd, Fleet, finished, process_of
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_a_running_job_is_cancelled_in_its_thread(quick_fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id, later = add("wait_at_gate"), add("wait_forever")
    eventually(lambda: len(quick_fleet.actor_log.started) == 2)

    for each in (job_id, later):
        rows.all("SELECT cancel_job(%s)", [each])

    assert finished(rows, job_id, later)["status"] == "cancelled"
    assert rows.outcomes(job_id) == rows.outcomes(later) == ["cancelled"]
    assert sorted(quick_fleet.actor_log.interrupted) == ["CancelledError", "JobCancelledError"]
    check_invariants(rows)


def test_a_cancel_reaches_its_worker_long_before_the_next_heartbeat(fleet: Fleet, rows: Rows, add: Add) -> None:
    jobs = [add("wait_at_gate"), add("wait_forever"), add("poll_politely")]
    eventually(lambda: len(fleet.actor_log.started) == 3)
    heartbeat = rows.value("SELECT heartbeat_at FROM workers")
    eventually(lambda: rows.value("SELECT heartbeat_at FROM workers") > heartbeat, what="the heartbeat before")

    began = time.monotonic()
    for job_id in jobs:
        rows.all("SELECT cancel_job(%s)", [job_id])
    finished(rows, *jobs, seconds=3)

    assert time.monotonic() - began < 3, "heartbeats come every five seconds"
    assert all(rows.outcomes(job_id) == ["cancelled"] for job_id in jobs)
    assert sorted(fleet.actor_log.interrupted) == ["CancelledError", "JobCancelledError", "politely"]
    check_invariants(rows)


def test_an_interrupt_that_comes_after_the_actor_raised_leaves_its_thread_alone(
    quick_fleet: Fleet, rows: Rows, add: Add
) -> None:
    runs = process_of(quick_fleet).runs
    reached = threading.Event()

    def linger() -> None:
        (run,) = runs.all()
        reached.set()
        eventually(lambda: run.is_cancelled)
        runs.all()  # takes the lock that an interrupting thread holds until it is done

    with AtTheEnd(linger):
        job_id = add("explode")
        assert reached.wait(10)
        rows.all("SELECT cancel_job(%s)", [job_id])

        assert finished(rows, job_id)["status"] == "cancelled"

    assert all(thread.is_alive() for thread in quick_fleet.workers[0].workers)
    eventually(lambda: runs.all() == [], what="the report's answer")  # the row changes a moment earlier


def test_an_actor_that_has_called_another_one_can_still_be_interrupted(fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("call_another", {"n": 4})
    eventually(lambda: fleet.actor_log.starts(job_id) == 2, what="the call to be over")

    rows.all("SELECT cancel_job(%s)", [job_id])

    assert finished(rows, job_id)["status"] == "cancelled"


def test_a_run_whose_attempt_was_handed_back_stops(quick_fleet: Fleet, rows: Rows, add: Add) -> None:
    job_id = add("wait_at_gate")
    eventually(lambda: quick_fleet.actor_log.starts(job_id) == 1)
    process = process_of(quick_fleet)
    (run,) = process.runs.all()

    process.reports.give_back(run.key)

    eventually(lambda: quick_fleet.actor_log.interrupted == ["LeaseLostError"])
    quick_fleet.actor_log.gates["gate"].set()
    assert finished(rows, job_id)["result"] == {"fence": 2}
    assert rows.outcomes(job_id) == ["released", "completed"]


def test_a_row_deleted_under_a_running_job_stops_it(quick_fleet: Fleet, rows: Rows, add: Add) -> None:
    session_id = rows.add_session()
    job_id = add("wait_at_gate", session_id=session_id)
    eventually(lambda: quick_fleet.actor_log.starts(job_id) == 1)

    rows.all("DELETE FROM coding_sessions WHERE id = %s", [session_id])

    eventually(lambda: quick_fleet.actor_log.interrupted == ["LeaseLostError"])
    assert rows.all("SELECT FROM coding_jobs") == []

"""One condition at a time: rows that differ from the right ones in a single value are not changed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.job import Claim, Failed, Status
from bridge.postgres.attempts import AttemptKey, Event, Verdict
from bridge.postgres.queue_rows import Span
from tests.support.rows import Rows
from tests.support.steps import CODING, LEASE, Steps

AWAY: dict[str, Callable[[Steps, UUID], object]] = {
    "stopped": lambda steps, worker: steps.book.stop(worker),  # its lease is good still
    "silent": lambda steps, worker: steps.silence(worker),
    "draining": lambda steps, worker: steps.book.heartbeat(worker, LEASE, [], draining=True),
}
LATER = datetime.now(UTC) + timedelta(hours=1)


def claim(steps: Steps, limit: int = 10, **room: int) -> list[Claim]:
    """A claim that does not query the capacity."""
    spans = [Span(queue, jobs) for queue, jobs in room.items()]
    return steps.queue.claim_jobs("bridge", limit=limit, lease=LEASE, spans=spans)


def pair(steps: Steps, rows: Rows, worker: UUID | None = None) -> tuple[AttemptKey, AttemptKey]:
    """Two running jobs with the same fence, each in a session of its own."""
    for _ in range(2):
        rows.add_job(session_id=rows.add_session(), max_retries=1)
    worker = worker or steps.add_worker()
    first, second = (steps.start(worker, one) for one in steps.claim())
    assert first and second
    return first, second


def untouched(rows: Rows, held: AttemptKey) -> bool:
    job = rows.job(held.job_id)
    session = rows.session(job["session_id"])
    return (job["status"], job["exec"], session["status"]) == ("processing", held.exec, "active")


def without_triggers(rows: Rows, change: str, job_id: UUID) -> None:
    rows.all("ALTER TABLE coding_jobs DISABLE TRIGGER USER")
    rows.all(f"UPDATE coding_jobs SET {change} WHERE id = %s", [job_id])
    rows.all("ALTER TABLE coding_jobs ENABLE TRIGGER USER")


# Claims.


@pytest.mark.parametrize("how", AWAY)
def test_a_draining_worker_is_given_no_job(steps: Steps, rows: Rows, how: str) -> None:
    rows.add_job()
    AWAY[how](steps, steps.add_worker())

    assert claim(steps, coding=5) == []
    assert steps.queue.queue_room() == []


def test_no_job_is_claimed_from_a_queue_without_capacity(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    steps.add_worker()

    assert claim(steps) == claim(steps, other=5) == []


def test_a_job_waits_in_a_queue_to_which_no_worker_listens(steps: Steps, rows: Rows) -> None:
    rows.add_job(queue="other")
    steps.add_worker()

    assert claim(steps, coding=5, other=5) == []


def test_run_at_is_respected_even_when_triggers_are_off(steps: Steps, rows: Rows) -> None:
    without_triggers(rows, "run_at = now() + interval '1 hour', due = true", rows.add_job())
    steps.add_worker()

    assert claim(steps, coding=5) == []
    assert steps.queue.claim_next_job() is None


def test_a_job_becomes_due_where_it_is_if_no_live_worker_of_its_actors_queue_knows_the_actor(
    rows: Rows, steps: Steps
) -> None:
    steps.book.stop(steps.add_worker(actors={"build": {"queue": "reports", "max_retries": 3}}))
    steps.add_worker(queues=["reports"], actors={"print": {"queue": "reports", "max_retries": 3}})
    job_id = rows.add_job(actor="build", queue="coding", run_at=LATER)
    without_triggers(rows, "run_at = now() - interval '1 s', due = false, queue = 'coding'", job_id)

    assert rows.value("SELECT promote_due_jobs(10)") == 1
    assert rows.job(job_id)["queue"] == "coding"


def test_a_job_that_a_hosts_trigger_keeps_from_becoming_due_is_no_promoted_one(rows: Rows) -> None:
    job_id = rows.add_job(run_at=LATER)
    without_triggers(rows, "run_at = now() - interval '1 s', due = false", job_id)
    rows.all("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.due := false; RETURN NEW; END $$")
    rows.all("CREATE TRIGGER z_keep BEFORE UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION keep()")

    with pytest.raises(psycopg.Error):
        rows.all("SELECT promote_due_jobs(10)")


def test_the_lowest_priority_on_its_way_is_that_of_the_queues_own_jobs_that_wait_for_their_start(
    rows: Rows, steps: Steps
) -> None:
    worker = steps.add_worker(queues=["a", "b"], actors={"x": {"queue": "a", "max_retries": 3}})
    rows.add_job(actor="x", queue="a", priority=1)
    steps.started(worker)
    rows.add_job(actor="x", queue="a", priority=5)
    rows.add_job(actor="x", queue="b", priority=0)
    assert len(steps.claim()) == 2

    assert {one.queue: one.lowest for one in steps.queue.queue_room()} == {"a": 5, "b": 0}


def test_only_jobs_that_became_due_are_promoted(rows: Rows) -> None:
    due, later, cancelled = rows.add_job(), rows.add_job(run_at=LATER), rows.add_job(status="cancelled")
    ready = rows.add_job()
    for job in (due, ready):  # the trigger sees to it
        rows.all("UPDATE coding_jobs SET run_at = now() - interval '1 s' WHERE id = %s", [job])
    without_triggers(rows, "run_at = now() - interval '1 s', due = false", cancelled)
    assert rows.value("SELECT promote_due_jobs(10)") == 0

    without_triggers(rows, "run_at = now() - interval '1 s', due = false", due)

    assert rows.value("SELECT promote_due_jobs(10)") == 1
    assert [rows.job(job)["due"] for job in (due, ready, later, cancelled)] == [True, True, False, False]


def test_capacity_is_the_free_slots_of_each_worker_for_each_queue(steps: Steps, rows: Rows) -> None:
    busy = steps.add_worker(slots=4)
    steps.add_worker(slots=3)
    steps.add_worker(slots=2, actors=CODING | {"report": {"queue": "reports"}})
    steps.add_worker(slots=1, actors={"lonely": {"queue": "alone"}})
    for _ in range(3):
        rows.add_job()
    steps.queue.claim_next_job()  # in no slot of these workers
    first, _ = claim(steps, coding=2)
    assert steps.start(busy, first)

    capacity = {one.queue: (one.free, sorted(one.shared_with)) for one in steps.queue.queue_room()}

    assert capacity == {  # one job runs, one is on its way
        "coding": (4 - 1 + 3 + 2 - 1, ["coding", "reports"]),
        "reports": (2, ["coding", "reports"]),
        "alone": (1, ["alone"]),
    }


# Starts.


def test_a_start_changes_only_its_own_job(steps: Steps, rows: Rows) -> None:
    rows.add_job(), rows.add_job()
    worker = steps.add_worker()
    first, second = steps.claim()

    assert steps.start(worker, first)

    assert rows.job(second.job_id)["exec"] is None


def test_a_message_of_a_released_hand_over_starts_nothing(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    message = steps.claim_one()
    steps.queue.release_claims([message], "test")

    assert steps.start(worker, message) is None
    assert rows.job(job_id)["status"] == "pending"


def test_a_hand_over_marked_by_hand_is_not_started(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    message = steps.claim_one()
    rows.all("UPDATE coding_jobs SET cancel_requested_at = now() WHERE id = %s", [job_id])

    assert steps.start(worker, message) is None


def test_a_job_of_the_node_worker_is_not_started(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.queue.claim_next_job()

    assert steps.start(worker, Claim(job_id, 1, "coding", "x")) is None


def test_the_same_start_by_another_worker_is_another_start(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    held = steps.started()

    assert steps.book.start(steps.add_worker(), [held]) == {}


@pytest.mark.parametrize("how", ["stopped", "silent", "unknown"])
def test_only_a_live_worker_starts_jobs(steps: Steps, rows: Rows, how: str) -> None:
    rows.add_job()
    steps.add_worker()  # another one lives
    worker = steps.add_worker()
    message = steps.claim_one()
    if how == "unknown":
        worker = uuid4()
    else:
        AWAY[how](steps, worker)

    assert steps.start(worker, message) is None


# Reports.


@pytest.mark.parametrize("report", ["complete", "fail", "release"])
def test_a_report_changes_only_its_own_job(steps: Steps, rows: Rows, report: str) -> None:
    first, second = pair(steps, rows)

    assert getattr(steps, report)(first)

    assert untouched(rows, second)


def test_each_of_several_failures_in_one_call_is_decided_by_itself(steps: Steps, rows: Rows) -> None:
    last, again = rows.add_job(max_retries=1), rows.add_job(max_retries=9)
    worker = steps.add_worker()
    held = [attempt for one in steps.claim() if (attempt := steps.start(worker, one))]

    verdicts = steps.book.fail([(one, Failed("boom", final=False, delay=None)) for one in held])

    assert verdicts == {last: Status.FAILED, again: Status.PENDING}
    assert [rows.job(job)["retry_count"] for job in (last, again)] == [1, 1]


def test_a_job_that_is_not_processing_cannot_fail(rows: Rows) -> None:
    job_id = rows.add_job()

    ended = rows.all("SELECT * FROM end_failed_attempts(ARRAY[%s], '{failed}', '{x}', '{false}', '{}')", [job_id])

    assert (ended, rows.job(job_id)["status"], rows.outcomes(job_id)) == ([], "pending", [])


def test_a_release_does_not_change_the_session(steps: Steps, rows: Rows) -> None:
    session = rows.add_session()
    rows.add_job(session_id=session)

    steps.release(steps.started())

    assert rows.session(session)["status"] == "active"


@pytest.mark.parametrize("report", ["fail", "release"])
def test_a_job_cancelled_while_it_ran_has_an_end_time(steps: Steps, rows: Rows, report: str) -> None:
    job_id = rows.add_job()
    held = steps.started()
    steps.queue.cancel_job(job_id)

    getattr(steps, report)(held)

    job = rows.job(job_id)
    assert (job["status"], job["completed_at"] is not None) == ("cancelled", True)


# Heartbeats.


def test_a_heartbeat_renews_its_own_worker(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    silent, other = steps.add_worker(), steps.add_worker()
    held = steps.started(silent)
    steps.silence(silent)

    steps.heartbeat(other)

    assert held.job_id in steps.reclaim()


@pytest.mark.parametrize("what", ["finished", "another exec", "another job"])
def test_a_heartbeat_reports_attempts_as_lost_that_differ_in_one_value(steps: Steps, rows: Rows, what: str) -> None:
    rows.add_job()
    worker = steps.add_worker()
    held = steps.started(worker)
    if what == "finished":
        steps.complete(held)
    elif what == "another exec":
        held = replace(held, exec=uuid4())
    else:
        held = replace(held, job_id=uuid4())

    assert steps.heartbeat(worker, held) == {held.exec: Verdict.LOST}


def test_finished_jobs_and_jobs_of_other_workers_are_not_strays(steps: Steps, rows: Rows) -> None:
    worker, other = steps.add_worker(), steps.add_worker()
    mine, theirs = rows.add_job(), rows.add_job()
    first, second = steps.claim()
    held = steps.start(worker, first)
    steps.start(other, second)
    assert held
    steps.complete(held)
    rows.all("UPDATE coding_jobs SET started_at = started_at - interval '1 hour'")

    assert steps.heartbeat(worker) == {}
    assert [held.job_id, second.job_id] == [mine, theirs]


# Reclaim.


def test_a_sweep_returns_the_outcome_of_each_job(steps: Steps, rows: Rows) -> None:
    """The order of the answers does not matter: the sweep's order is random."""
    for _ in range(18):
        rows.add_job()
    lost, _alive = steps.add_worker(slots=30), steps.add_worker()
    crashed = [attempt.job_id for one in claim(steps, 6, coding=6) if (attempt := steps.start(lost, one))]
    released = [one.job_id for one in claim(steps, 6, coding=6)]
    reclaimed = [job.job_id for _ in range(6) if (job := steps.queue.claim_next_job())]
    for job_id in released + reclaimed:
        steps.expire(job_id)
    steps.silence(lost)

    verdicts = steps.reclaim()

    assert verdicts == (
        dict.fromkeys(crashed, ("crashed", "pending"))
        | dict.fromkeys(released, ("released", "pending"))
        | dict.fromkeys(reclaimed, ("reclaimed", "pending"))
    )
    name = rows.value("SELECT name FROM workers WHERE id = %s", [lost])
    assert all(f"worker {name} was lost" in rows.attempts(job)[0]["error"] for job in crashed)
    assert all(rows.attempts(job)[0]["error"].startswith("reclaimed:") for job in reclaimed)
    assert all(rows.attempts(job)[0]["error"].startswith("no worker") for job in released)


def test_jobs_of_a_lost_worker_are_taken_back_though_another_lives(steps: Steps, rows: Rows) -> None:
    lost, alive = steps.add_worker(), steps.add_worker()
    first, second = rows.add_job(), rows.add_job()
    one, two = steps.claim()
    steps.start(lost, one)
    steps.start(alive, two)
    steps.silence(lost)

    assert steps.reclaim() == {first: ("crashed", "pending")}
    assert rows.job(second)["status"] == "processing"


def test_finished_jobs_of_a_stopped_worker_do_not_block_a_sweep(steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()
    rows.all(
        "INSERT INTO coding_jobs (status, fence, exec, worker) SELECT 'completed', 1, gen_random_uuid(), %s"
        " FROM generate_series(1, 300)",
        [worker],
    )
    job_id = rows.add_job()
    steps.started(worker)
    steps.book.stop(worker)

    assert [one.job_id for one in steps.queue.reclaim_jobs(limit=1, grace=timedelta(0))] == [job_id]


def test_a_worker_that_stopped_is_not_declared_lost(steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()
    steps.book.stop(worker)
    steps.silence(worker)

    steps.reclaim()

    assert rows.value("SELECT stop_reason FROM workers") == "stopped"


# The Node worker's functions.


def test_reports_by_id_change_only_that_job(steps: Steps, rows: Rows) -> None:
    first, second, third = (rows.add_job() for _ in range(3))
    for _ in range(3):
        steps.queue.claim_next_job()

    steps.queue.complete_job(first)
    steps.queue.fail_job(second, "boom")

    assert [rows.job(job)["status"] for job in (first, second, third)] == ["completed", "pending", "processing"]


def test_reports_by_id_change_no_attempt_of_a_bridge(steps: Steps, rows: Rows) -> None:
    handed_over, running = rows.add_job(), rows.add_job()
    worker = steps.add_worker()
    _, second = steps.claim()
    held = steps.start(worker, second)
    rows.add_job()
    steps.queue.claim_next_job()  # one that may be reported by id

    for job_id in (handed_over, running):
        steps.queue.complete_job(job_id)
        assert steps.queue.fail_job(job_id, "boom") is False

    assert [rows.job(job)["status"] for job in (handed_over, running)] == ["processing", "processing"]
    assert held is not None and held.job_id == running


# Operators.


@pytest.mark.parametrize("act", ["cancel_job", "retry_job"])
@pytest.mark.parametrize("which", [0, 1])
def test_an_operators_call_changes_only_that_job(steps: Steps, rows: Rows, act: str, which: int) -> None:
    jobs = [rows.add_job(status="pending", retry_count=1, priority=n, run_at=LATER) for n in range(2)]
    other = jobs.pop(1 - which)
    before = rows.job(other)

    getattr(steps.queue, act)(jobs[0])

    assert rows.job(other) == before
    (audit,) = rows.all("SELECT job_id FROM job_audit")
    assert audit["job_id"] == jobs[0]


@pytest.mark.parametrize("act", ["cancel_job", "retry_job"])
def test_an_operators_call_returns_the_jobs_status(steps: Steps, rows: Rows, act: str) -> None:
    first = rows.add_job()
    steps.started()
    second = rows.add_job(status="cancelled")
    # First the call that changes nothing, so that the rows keep their order until both calls were made.
    order = (second, first) if act == "cancel_job" else (first, second)
    statuses = {job: getattr(steps.queue, act)(job) for job in order}

    assert statuses == {first: Status.PROCESSING, second: Status.CANCELLED if act == "cancel_job" else Status.PENDING}


def test_a_job_that_ran_and_waits_again_is_cancelled_at_once(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.release(steps.started())

    assert steps.queue.cancel_job(job_id) is Status.CANCELLED


def test_the_cancel_of_a_waiting_job_adds_no_attempt(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.queue.cancel_job(job_id)

    assert rows.attempts(job_id) == []


def test_the_session_of_a_marked_job_stays_active_until_the_job_stops(steps: Steps, rows: Rows) -> None:
    held, _ = pair(steps, rows)
    steps.queue.cancel_job(held.job_id)

    assert untouched(rows, held)


# Sessions and their events.


def test_an_event_needs_its_own_job(steps: Steps, rows: Rows) -> None:
    held, _ = pair(steps, rows)

    assert steps.book.add_events([Event(replace(held, job_id=uuid4()), "terminal", "{}")]) == 0


def test_other_sessions_neither_wait_nor_are_waited_for(steps: Steps, rows: Rows, dsn: str) -> None:
    first, second = pair(steps, rows)
    theirs = rows.job(second.job_id)["session_id"]

    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [theirs])
        assert steps.complete(first)

    assert rows.session(rows.job(first.job_id)["session_id"])["status"] == "completed"
    assert rows.session(theirs)["status"] == "active"


def test_an_active_session_is_not_updated_again(steps: Steps, rows: Rows) -> None:
    session = rows.add_session()
    for _ in range(2):
        rows.add_job(session_id=session)
    worker = steps.add_worker()
    first, second = steps.claim()
    steps.start(worker, first)
    before = rows.session(session)

    steps.start(worker, second)

    assert rows.session(session) == before

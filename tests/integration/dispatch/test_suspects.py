"""A job that is suspected of having ended its worker runs isolated from then on."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.dispatch.reconciler import Reconciler
from bridge.dispatch.suspects import Suspects
from bridge.errors import PostgresUnavailableError
from bridge.job import Claim
from bridge.postgres.attempts import AttemptKey, Attempts
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.transport.client import connect_redis
from bridge.transport.epoch import RedisEpoch
from bridge.transport.messages import is_isolated, is_isolated_until_end, seal, unseal
from bridge.transport.publisher import Publisher
from bridge.worker.quarantine import TRIAL_SECONDS
from tests.support.failover_loop import patient_client
from tests.support.fleet import Fleet
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps
from tests.support.waiting import eventually


def crash(steps: Steps, rows: Rows, count: int = 1) -> list[UUID]:
    """Jobs that each ended a worker."""
    jobs = [rows.add_job() for _ in range(count)]
    for _ in jobs:
        worker = steps.add_worker(slots=1)
        claim = steps.claim_one()
        assert steps.start(worker, claim)
        steps.queue.declare_lost(worker, ended_by=claim.job_id)
    assert set(steps.reclaim()) == set(jobs)
    return jobs


def suspects(steps: Steps, limit: int = 1) -> list[Claim]:
    return steps.queue.claim_suspects("bridge", lease=LEASE, limit=limit)


def test_a_crashed_job_is_due_at_once_and_claimed_to_run_isolated(steps: Steps, rows: Rows) -> None:
    (job_id,) = crash(steps, rows)
    steps.add_worker()

    assert steps.claim() == [], "not claimed with ordinary jobs"
    (claim,) = suspects(steps)

    assert (claim.job_id, claim.fence, claim.isolated) == (job_id, 2, True)
    assert suspects(steps) == []


def test_a_second_crash_waits_like_a_failure(steps: Steps, rows: Rows) -> None:
    crash(steps, rows)
    worker = steps.add_worker()
    assert steps.start(worker, suspects(steps)[0])
    steps.book.stop(worker)
    steps.reclaim()
    steps.add_worker()

    assert suspects(steps) == []
    rows.all("UPDATE coding_jobs SET run_at = now() - interval '1 s'")
    assert len(suspects(steps)) == 1


@pytest.mark.parametrize(("workers", "at_once"), [(1, 1), (2, 1), (3, 1), (4, 2)])
def test_suspects_use_at_most_half_of_the_workers(steps: Steps, rows: Rows, workers: int, at_once: int) -> None:
    jobs = crash(steps, rows, 5)
    for _ in range(workers):
        worker = steps.add_worker()

    first = [claim for _ in range(at_once) for claim in suspects(steps)]
    assert [claim.job_id for claim in first] == jobs[:at_once]
    assert suspects(steps) == []

    held = steps.start(worker, first[0])
    assert suspects(steps) == [], "it runs now"
    assert held
    assert steps.complete(held)
    assert len(suspects(steps)) == 1


def test_a_batch_is_from_one_queue_the_most_urgent_first_and_counts_once(steps: Steps, rows: Rows) -> None:
    jobs = crash(steps, rows, 5)
    rows.all("UPDATE coding_jobs SET queue = 'other' WHERE id = %s", [jobs[1]])
    rows.all("UPDATE coding_jobs SET priority = 7 WHERE id = %s", [jobs[3]])
    steps.add_worker(queues=["coding", "other"])

    batch = suspects(steps, 3)

    assert [claim.job_id for claim in batch] == [jobs[3], jobs[0]], "the third of the first three is in another queue"
    assert suspects(steps, 3) == []
    assert steps.queue.release_claims(batch[:1], "it waits")
    assert suspects(steps, 3) == [], "one job of the batch is still handed over"
    assert steps.queue.release_claims(batch[1:], "it waits")
    assert len(suspects(steps, 9)) == 4


def test_the_limit_of_batches_counts_live_workers_and_claims_of_bridges(steps: Steps, rows: Rows) -> None:
    crash(steps, rows, 5)
    for _ in range(2):
        steps.add_worker()
    for _ in range(2):
        steps.silence(steps.add_worker())
    steps.queue.claim_next_job()

    assert len(suspects(steps)) == 1, "the Node worker's job is in no batch"
    assert suspects(steps) == [], "half of two, not of four"


def test_two_bridges_at_once_claim_no_more_batches_than_one(steps: Steps, rows: Rows, dsn: str) -> None:
    crash(steps, rows, 2)
    for _ in range(2):
        steps.add_worker()
    with psycopg.connect(dsn) as other:
        claim = "SELECT * FROM claim_suspects('other', interval '30 s', 1)"
        assert len(other.execute(claim).fetchall()) == 1
        assert suspects(steps) == [], "the other bridge has not committed yet"

    assert suspects(steps) == [], "half of two"
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'processing'") == 1


def test_a_batch_contains_only_suspects(steps: Steps, rows: Rows) -> None:
    (suspect,) = crash(steps, rows)
    rows.add_job(priority=9)
    steps.add_worker()

    assert [claim.job_id for claim in suspects(steps, 5)] == [suspect]


def test_a_worker_that_runs_a_batch_counts_though_it_takes_no_other_jobs(steps: Steps, rows: Rows) -> None:
    crash(steps, rows, 5)
    workers = [steps.add_worker() for _ in range(4)]
    (first,) = suspects(steps)
    assert steps.start(workers[0], first)
    steps.book.heartbeat(workers[0], LEASE, [], draining=True)

    assert len(suspects(steps)) == 1, "two of four"
    assert suspects(steps) == []


@pytest.mark.parametrize("work", ["none", "ordinary", "a suspect that has ended"])
def test_a_worker_that_drains_does_not_count(steps: Steps, rows: Rows, work: str) -> None:
    crash(steps, rows, 6)
    leaving = steps.add_worker()
    if work == "ordinary":
        rows.add_job()
        steps.started(leaving)
    elif work == "a suspect that has ended":
        held = steps.start(leaving, suspects(steps)[0])
        assert held
        assert steps.complete(held)
    for _ in range(3):
        steps.add_worker()
    steps.book.heartbeat(leaving, LEASE, [], draining=True)

    assert len(suspects(steps)) == 1
    assert suspects(steps) == [], "one of three"


def began(rows: Rows, job_id: UUID, seconds: float) -> None:
    rows.all("UPDATE coding_jobs SET started_at = now() - make_interval(secs => %s) WHERE id = %s", [seconds, job_id])


def test_an_acquitted_suspect_does_not_block_the_next_batch(steps: Steps, rows: Rows) -> None:
    first, second = crash(steps, rows, 2)
    worker = steps.add_worker()
    held = steps.start(worker, suspects(steps)[0])
    assert held
    assert held.job_id == first
    began(rows, first, TRIAL_SECONDS - 5)
    assert suspects(steps) == [], "it still runs isolated"

    began(rows, first, TRIAL_SECONDS + 1)

    assert [claim.job_id for claim in suspects(steps)] == [second]


@pytest.mark.parametrize(
    ("columns", "is_acquitted"),
    [
        ("crashes = 2, retry_count = 1, max_retries = 3", True),
        ("crashes = 2, retry_count = 7, max_retries = 9", True),  # it failed before, by itself
        ("crashes = 2, retry_count = 1, max_retries = 2", False),
        ("crashes = 1, retry_count = 1, max_retries = 2", False),  # it was merely there, and must not be again
        ("crashes = 3, retry_count = 2, max_retries = 9", False),
        ("crashes = 3, retry_count = 0, max_retries = 9", False),  # an operator wanted it again
    ],
)
def test_a_job_that_crashed_twice_or_has_its_last_attempt_is_never_acquitted(
    steps: Steps, rows: Rows, columns: str, is_acquitted: bool
) -> None:
    first, second = crash(steps, rows, 2)
    rows.all(f"UPDATE coding_jobs SET {columns} WHERE id = %s", [first])
    worker = steps.add_worker()
    (claim,) = suspects(steps)
    assert (claim.job_id, claim.isolated, claim.isolated_until_end) == (first, True, not is_acquitted)
    assert steps.queue.waiting_claims(age=timedelta(0), limit=10) == [claim]
    assert is_isolated_until_end(seal([claim])[0]) is not is_acquitted
    assert steps.start(worker, claim)

    began(rows, first, TRIAL_SECONDS * 10)

    assert [claim.job_id for claim in suspects(steps)] == ([second] if is_acquitted else [])


@pytest.mark.parametrize("max_retries", [1, 3])
def test_a_job_that_never_lost_a_worker_is_not_isolated(steps: Steps, rows: Rows, max_retries: int) -> None:
    rows.add_job(max_retries=max_retries)
    steps.add_worker()
    steps.claim_one()

    (claim,) = steps.queue.waiting_claims(age=timedelta(0), limit=10)

    assert (claim.isolated, claim.isolated_until_end) == (False, False)


def test_a_worker_that_drains_with_an_acquitted_job_does_not_count(steps: Steps, rows: Rows) -> None:
    first, *_ = crash(steps, rows, 4)
    workers = [steps.add_worker() for _ in range(4)]
    held = steps.start(workers[0], suspects(steps)[0])
    began(rows, first, TRIAL_SECONDS + 1)
    assert held
    steps.book.heartbeat(workers[0], LEASE, [held], draining=True)

    assert len(suspects(steps)) == 1
    assert suspects(steps) == [], "one of three"


def test_a_suspect_waits_for_a_live_worker_that_knows_its_actor(steps: Steps, rows: Rows) -> None:
    crash(steps, rows)

    assert suspects(steps) == [], "there is no worker"
    steps.add_worker(actors={"other": {"queue": "coding"}})
    assert suspects(steps) == [], "no worker knows its actor"
    draining = steps.add_worker()
    steps.book.heartbeat(draining, LEASE, [], draining=True)
    assert suspects(steps) == [], "the worker that could run it drains"
    steps.add_worker(queues=["elsewhere"])
    assert suspects(steps) == [], "no worker listens to its queue"
    steps.silence(steps.add_worker())
    assert suspects(steps) == [], "the worker that could run it is silent"
    steps.add_worker()
    assert len(suspects(steps)) == 1


def test_a_failed_or_released_job_is_not_a_suspect(steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()
    rows.add_job()
    assert steps.fail(steps.started(worker))
    rows.add_job()
    assert steps.release(steps.started(worker))

    assert rows.value("SELECT sum(crashes) FROM coding_jobs") == 0


def test_the_lease_of_a_hand_over_can_be_renewed_until_it_is_started_or_released(steps: Steps, rows: Rows) -> None:
    (job_id,) = crash(steps, rows)
    worker = steps.add_worker()
    (claim,) = suspects(steps)
    rows.all("UPDATE coding_jobs SET lease_expires_at = clock_timestamp() + interval '1 s'")

    def keep() -> set[UUID]:
        return {
            row["id"]
            for row in steps.link.call("keep_claims", {"ids": [claim.job_id], "fences": [claim.fence], "lease": LEASE})
        }

    assert keep() == {job_id}
    assert rows.value("SELECT lease_expires_at > now() + interval '20 s' FROM coding_jobs")
    held = steps.start(worker, claim)
    assert held
    assert keep() == set(), "it was started"
    assert rows.job(job_id)["lease_expires_at"] is None
    steps.release(held)
    assert keep() == set(), "it was released"


def test_only_the_named_hand_overs_are_renewed(steps: Steps, rows: Rows) -> None:
    node_took = rows.add_job()
    steps.queue.claim_next_job()
    steps.add_worker()
    jobs = [rows.add_job() for _ in range(3)]
    claims = steps.claim()
    rows.all("UPDATE coding_jobs SET lease_expires_at = clock_timestamp() + interval '1 s'")
    steps.queue.release_claims(claims[2:], "nobody has it")

    others = [AttemptKey(node_took, 1, None), AttemptKey(jobs[0], claims[0].fence + 1, None)]
    named = [AttemptKey(claim.job_id, claim.fence, None) for claim in claims[1:]]
    assert steps.book.keep([*others, *named], LEASE) == {jobs[1]}

    prolonged = "SELECT id FROM coding_jobs WHERE lease_expires_at > now() + interval '20 s'"
    assert [row["id"] for row in rows.all(prolonged)] == [jobs[1]]
    assert rows.job(jobs[2])["lease_expires_at"] is None


def test_the_id_of_a_message_marks_an_isolated_job(steps: Steps, rows: Rows) -> None:
    (job_id,) = crash(steps, rows)
    steps.add_worker()
    (claim,) = suspects(steps)

    name, text = seal([claim])

    assert is_isolated(name)
    assert unseal(text.encode(), "coding", name) == ("run_coding_session", [(job_id, 2)])


def test_a_batch_stands_together_and_goes_by_its_most_urgent_job(steps: Steps, rows: Rows, redis_url: str) -> None:
    client = connect_redis(redis_url)
    jobs = crash(steps, rows, 2)
    rows.all("UPDATE coding_jobs SET priority = 9 WHERE id = %s", [jobs[1]])
    steps.add_worker()
    publisher = Publisher(client, "mobvibe")
    publisher.publish([Claim(UUID(int=n), 1, "coding", "run", n) for n in (10, 5)])

    times = HandOverTimes()

    Suspects(steps.queue, publisher, lambda: 2, hand_over_times=times, name="bridge", lease_seconds=30).hand_over()

    assert [(one.queue, jobs) for one, jobs in times.take().items()] == [("coding", 2)]
    listed: Any = client.lrange("mobvibe:coding", 0, -1)
    assert [UUID(name.decode().partition(":")[0]) for name in listed] == [UUID(int=10), jobs[1], jobs[0], UUID(int=5)]


def test_suspects_are_put_back_when_redis_is_unreachable(steps: Steps, rows: Rows) -> None:
    (job_id,) = crash(steps, rows)
    steps.add_worker()
    nowhere = Publisher(connect_redis("redis://127.0.0.1:9/0"), "mobvibe")

    Suspects(JobQueue(steps.link), nowhere, name="bridge", lease_seconds=30).hand_over()

    assert rows.job(job_id)["status"] == "pending"
    assert rows.outcomes(job_id) == ["crashed", "released"]


def test_no_suspect_is_claimed_while_redis_is_unreachable(steps: Steps, rows: Rows) -> None:
    (job_id,) = crash(steps, rows)
    steps.add_worker()
    nowhere = connect_redis("redis://127.0.0.1:9/0")
    publisher = Publisher(nowhere, "mobvibe")
    suspects = Suspects(steps.queue, publisher, name="bridge", lease_seconds=30)
    reconciler = Reconciler(steps.queue, publisher, RedisEpoch(nowhere, "mobvibe"), suspects.hand_over)

    for _ in range(3):
        reconciler.reclaimed()
        reconciler.step()

    assert rows.job(job_id)["fence"] == 1
    assert rows.outcomes(job_id) == ["crashed"]


def test_an_outage_of_postgres_is_not_over_before_suspects_can_be_claimed(steps: Steps, redis_url: str) -> None:
    client = connect_redis(redis_url)
    is_down = True

    def hand_over() -> None:
        if is_down:
            raise PostgresUnavailableError("gone")

    reconciler = Reconciler(steps.queue, Publisher(client, "mobvibe"), RedisEpoch(client, "mobvibe"), hand_over)
    for _ in range(3):
        with pytest.raises(PostgresUnavailableError):
            reconciler.step()
    is_down = False
    reconciler.step()


def test_dead_workers_are_found_while_a_suspect_waits_for_a_frozen_redis(
    new_fleet: Callable[..., Fleet], steps: Steps, rows: Rows, dsn: str, redis_url: str
) -> None:
    new_fleet().start()

    def lose_a_worker(seconds: float) -> None:
        worker, book = steps.add_worker(), Attempts(Link(dsn, "heartbeat"))
        assert book.hold_link(worker)
        book.close()
        lost = "SELECT stop_reason = 'lost' FROM workers WHERE id = %s"
        eventually(lambda: rows.value(lost, [worker]), seconds=seconds, what="the worker to be declared lost")

    lose_a_worker(seconds=15)  # a bridge that has just started does not check workers yet
    with patient_client(redis_url) as client:
        client.execute_command("CLIENT", "PAUSE", 20_000, "WRITE")
        try:
            rows.add_job(actor="double", queue="tests", payload={"n": 1}, crashes=2, retry_count=1)
            lose_a_worker(seconds=4)
        finally:
            client.execute_command("CLIENT", "UNPAUSE")


def test_a_suspect_runs_when_no_other_job_does_and_no_other_begins_meanwhile(
    new_fleet: Callable[..., Fleet], rows: Rows, redis_url: str
) -> None:
    fleet = new_fleet(lease_ms=3000).start()

    def add(gate: str, **columns: Any) -> UUID:
        return rows.add_job(actor="wait_at_gate", queue="tests", payload={"gate": gate}, **columns)

    def is_started(job_id: UUID) -> bool:
        return fleet.actor_log.starts(job_id) == 1

    ordinary = add("ordinary")
    eventually(lambda: is_started(ordinary))
    suspect = add("suspect", crashes=2, retry_count=1)
    eventually(lambda: rows.job(suspect)["fence"] == 1)
    with patient_client(redis_url) as client:
        eventually(lambda: client.llen("mobvibe:tests") == 0, what="the worker to take it")
    late = add("late")
    elsewhere = rows.add_job(actor="plain", queue="default")
    claimed = rows.job(suspect)["lease_expires_at"]
    eventually(lambda: rows.job(suspect)["lease_expires_at"] > claimed, what="its hand-over to be renewed")
    assert not is_started(suspect), "not beside another job"
    assert not is_started(late), "nothing new comes before it"
    assert fleet.actor_log.plain == [], "not from another queue either"

    fleet.actor_log.gates["ordinary"].set()
    eventually(lambda: is_started(suspect))
    later = add("late")
    eventually(lambda: rows.job(ordinary)["status"] == "completed")
    assert not is_started(late)
    assert not is_started(later)
    assert fleet.actor_log.plain == []

    fleet.actor_log.gates["suspect"].set()
    fleet.actor_log.gates["late"].set()
    jobs = (suspect, late, later, elsewhere)
    eventually(lambda: all(rows.job(job_id)["status"] == "completed" for job_id in jobs))
    assert rows.outcomes(suspect) == ["completed"]
    check_invariants_but_for_the_made_up_crashes(rows, [suspect])


def test_the_jobs_of_a_batch_run_one_after_the_other(fleet: Fleet, rows: Rows) -> None:
    def add(**columns: Any) -> UUID:
        return rows.add_job(actor="nap", queue="tests", payload={"seconds": 0.02}, **columns)

    jobs = [add(crashes=n % 2 * 2, retry_count=n % 2) for n in range(60)]
    eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status <> 'completed'") == 0)

    suspects = set(jobs[1::2])
    for job_id, began, ended in fleet.actor_log.naps:
        beside = [one for one in fleet.actor_log.naps if one[0] != job_id and one[1] < ended and one[2] > began]
        assert job_id not in suspects or beside == []
    assert rows.value("SELECT count(*) FROM job_attempts WHERE outcome = 'completed'") == len(jobs)
    check_invariants_but_for_the_made_up_crashes(rows, jobs)


def test_suspects_do_not_wait_for_the_backlog_of_an_overloaded_fleet(fleet: Fleet, rows: Rows) -> None:
    backlog = """
        INSERT INTO coding_jobs (actor, queue, payload)
        SELECT 'nap', 'tests', '{"seconds": 0.05}' FROM generate_series(1, 3000)"""
    rows.all(backlog)
    eventually(lambda: fleet.actor_log.naps)
    suspects = [
        rows.add_job(actor="nap", queue="tests", payload={"seconds": 0.05}, crashes=2, retry_count=1) for _ in range(5)
    ]

    eventually(lambda: {rows.status(job_id) for job_id in suspects} == {"completed"}, seconds=20)

    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'pending'") > 500, "most of it still waits"
    rows.all("DELETE FROM coding_jobs WHERE status = 'pending'")


def test_no_job_is_handed_over_to_a_worker_whose_suspect_waits(new_fleet: Callable[..., Fleet], rows: Rows) -> None:
    fleet = new_fleet(lease_ms=1500).start()
    ordinary = rows.add_job(actor="wait_at_gate", queue="tests")
    eventually(lambda: fleet.actor_log.starts(ordinary) == 1)
    suspect = rows.add_job(actor="double", queue="tests", payload={"n": 1}, crashes=2, retry_count=1)
    eventually(
        lambda: rows.value("SELECT draining FROM workers"), seconds=3, what="the worker to report that it drains"
    )

    late = rows.add_job(actor="double", queue="tests", payload={"n": 2})
    for _ in range(4):  # each takes a third of a lease
        lease = rows.job(suspect)["lease_expires_at"]
        eventually(lambda: rows.job(suspect)["lease_expires_at"] > lease)  # noqa: B023 -- called at once
    assert (rows.status(late), rows.job(late)["fence"]) == ("pending", 0)

    fleet.actor_log.gates["gate"].set()
    eventually(lambda: all(rows.status(job_id) == "completed" for job_id in (ordinary, suspect, late)))
    assert rows.outcomes(suspect) == rows.outcomes(late) == ["completed"]
    assert not rows.value("SELECT draining FROM workers")
    check_invariants_but_for_the_made_up_crashes(rows, [suspect])


def add_suspect(rows: Rows, n: int) -> UUID:
    return rows.add_job(actor="double", queue="tests", payload={"n": n}, crashes=2, retry_count=1)


def busy_with_a_waiting_suspect(new_fleet: Callable[..., Fleet], rows: Rows) -> tuple[Fleet, UUID]:
    """A fleet whose only worker has a suspect, which waits for a job that does not end."""
    fleet = new_fleet().start()
    ordinary = rows.add_job(actor="wait_at_gate", queue="tests")
    eventually(lambda: fleet.actor_log.starts(ordinary) == 1)
    suspect = add_suspect(rows, 1)
    eventually(lambda: rows.value("SELECT draining FROM workers"), what="the worker to report that it drains")
    return fleet, suspect


def test_a_suspect_that_waits_for_an_endless_job_runs_in_another_worker(
    new_fleet: Callable[..., Fleet], rows: Rows
) -> None:
    busy, suspect = busy_with_a_waiting_suspect(new_fleet, rows)
    idle = new_fleet()
    idle.start_worker()

    eventually(lambda: rows.status(suspect) == "completed", seconds=10)
    more = [add_suspect(rows, n) for n in range(4)]
    eventually(lambda: all(rows.status(job_id) == "completed" for job_id in more), seconds=20)

    assert {job_id for job_id, _ in idle.actor_log.started} == {suspect, *more}
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'processing'") == 1
    busy.actor_log.gates["gate"].set()
    check_invariants_but_for_the_made_up_crashes(rows, [suspect, *more])


def test_without_another_worker_a_suspect_comes_back_and_waits(new_fleet: Callable[..., Fleet], rows: Rows) -> None:
    fleet, suspect = busy_with_a_waiting_suspect(new_fleet, rows)
    eventually(lambda: rows.outcomes(suspect) == ["released"], seconds=10)
    eventually(lambda: not rows.value("SELECT draining FROM workers"), what="the process to take jobs meanwhile")
    eventually(lambda: rows.job(suspect)["fence"] == 2)
    eventually(lambda: rows.value("SELECT draining FROM workers"))

    fleet.actor_log.gates["gate"].set()

    eventually(lambda: rows.status(suspect) == "completed")
    check_invariants_but_for_the_made_up_crashes(rows, [suspect])


def test_suspects_that_run_for_long_do_not_wait_for_each_other(
    new_fleet: Callable[..., Fleet], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.worker.quarantine.TRIAL_SECONDS", 0.5)
    fleet = new_fleet().start()

    columns = {"actor": "wait_at_gate", "queue": "tests", "crashes": 2, "retry_count": 1}
    first, second = rows.add_job(**columns), rows.add_job(**columns)
    eventually(lambda: fleet.actor_log.starts(first) == 1)
    began(rows, first, TRIAL_SECONDS + 1)

    eventually(lambda: fleet.actor_log.starts(second) == 1, seconds=20)

    assert rows.status(first) == "processing"
    fleet.actor_log.gates["gate"].set()
    eventually(lambda: all(rows.outcomes(job_id) == ["completed"] for job_id in (first, second)))


def check_invariants_but_for_the_made_up_crashes(rows: Rows, jobs: Sequence[UUID]) -> None:
    rows.all("UPDATE coding_jobs SET retry_count = 0 WHERE id = ANY(%s)", [list(jobs)])
    check_invariants(rows)

"""The most urgent are handed over first, and the others when these were started, or could not be for a while."""

import time
from collections.abc import Iterator
from uuid import UUID

import pytest
import redis

from bridge.dispatch.dispatcher import Dispatcher
from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.errors import RedisUnavailableError
from bridge.postgres.history import latency_bucket
from bridge.transport.client import connect_redis
from bridge.transport.job_broker import JobBroker
from bridge.transport.publisher import Publisher
from bridge.transport.slots import Room
from tests.support.fleet import Add, Fleet, NewFleet, finished
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

LIST = "mobvibe:coding"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect_redis(redis_url) as client:
        yield client


@pytest.fixture
def times() -> HandOverTimes:
    return HandOverTimes()


@pytest.fixture
def dispatcher(steps: Steps, client: redis.Redis, times: HandOverTimes) -> Dispatcher:
    publisher = Publisher(client, "mobvibe")
    return Dispatcher(steps.queue, publisher, hand_over_times=times, name="bridge", lease_seconds=30, poll_seconds=5)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is slow here, nothing is handed over for that."""
    for name in ("_PATIENCE_SECONDS", "_LEVELS_SECONDS", "_MOST_SECONDS"):
        monkeypatch.setattr(f"bridge.dispatch.publish_order.{name}", 60.0)


def waiting(client: redis.Redis) -> list[UUID]:
    listed: list[bytes] = client.lrange(LIST, 0, -1)  # type: ignore[assignment]
    return [UUID(name.decode().partition(":")[0]) for name in listed]


def start(steps: Steps, rows: Rows, worker: UUID, job_id: UUID) -> None:
    """As a worker does that took the message."""
    rows.all("SELECT * FROM start_jobs(%s, ARRAY[%s], ARRAY[1::bigint], ARRAY[gen_random_uuid()])", [worker, job_id])


def test_of_one_claim_each_priority_is_handed_over_when_the_more_urgent_was_started(
    steps: Steps, rows: Rows, client: redis.Redis, dispatcher: Dispatcher, patient: None
) -> None:
    low, urgent, middle = (rows.add_job(priority=priority) for priority in (0, 9, 5))
    worker = steps.add_worker()

    assert dispatcher.step() < 0.01, "it looks again soon"
    assert waiting(client) == [urgent]
    assert {rows.status(job_id) for job_id in (low, urgent, middle)} == {"processing"}
    dispatcher.step()
    assert waiting(client) == [urgent]

    start(steps, rows, worker, urgent)
    dispatcher.step()
    assert waiting(client) == [urgent, middle]
    start(steps, rows, worker, middle)
    dispatcher.step()
    assert waiting(client) == [urgent, middle, low]


def test_a_later_claim_is_kept_until_an_urgent_job_was_started(
    steps: Steps, rows: Rows, client: redis.Redis, dispatcher: Dispatcher, patient: None
) -> None:
    worker = steps.add_worker()
    urgent = rows.add_job(priority=1)
    dispatcher.step()
    low = rows.add_job()

    dispatcher.step()
    assert (waiting(client), rows.status(low)) == ([urgent], "processing")

    start(steps, rows, worker, urgent)
    dispatcher.step()
    assert waiting(client) == [urgent, low]


def test_what_no_worker_starts_holds_up_the_others_for_a_moment_only(
    steps: Steps, rows: Rows, client: redis.Redis, dispatcher: Dispatcher
) -> None:
    steps.add_worker()
    low, urgent = rows.add_job(), rows.add_job(priority=1)
    began = time.monotonic()

    eventually(lambda: dispatcher.step() and waiting(client) == [urgent, low], seconds=2)

    assert 0.2 <= time.monotonic() - began < 2


def test_equal_priorities_are_handed_over_without_a_look(
    steps: Steps, rows: Rows, client: redis.Redis, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.queue, "unstarted", lambda _: pytest.fail("a look"))
    steps.add_worker()
    for n in range(3):
        rows.add_job(priority=5)
        dispatcher.step()
        assert len(waiting(client)) == n + 1


def test_other_queues_do_not_wait(steps: Steps, rows: Rows, client: redis.Redis, dispatcher: Dispatcher) -> None:
    steps.add_worker(queues=["coding", "reports"])
    rows.add_job(priority=9)
    rows.add_job()
    rows.add_job(queue="reports")

    dispatcher.step()

    assert (client.llen(LIST), client.llen("mobvibe:reports")) == (1, 1)


def test_what_is_kept_is_handed_over_when_the_bridge_ends(
    steps: Steps, rows: Rows, client: redis.Redis, dispatcher: Dispatcher
) -> None:
    steps.add_worker()
    low, urgent = rows.add_job(), rows.add_job(priority=1)
    dispatcher.step()

    dispatcher.finish()

    assert waiting(client) == [urgent, low]


def test_what_is_kept_is_put_back_when_redis_goes(
    steps: Steps, rows: Rows, client: redis.Redis, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = steps.add_worker()
    low, middle, urgent = (rows.add_job(priority=priority) for priority in (0, 5, 9))
    dispatcher.step()
    start(steps, rows, worker, urgent)

    def gone(**_: object) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(dispatcher._publisher, "_publish", gone)
    with pytest.raises(RedisUnavailableError):
        dispatcher.step()

    assert [rows.status(job_id) for job_id in (low, middle)] == ["pending", "pending"]
    assert rows.outcomes(low) == rows.outcomes(middle) == ["released"]
    check_invariants(rows)


def counted(times: HandOverTimes) -> list[tuple[str, int]]:
    return [(one.queue, jobs) for one, jobs in times.take().items()]


def test_a_hand_over_lasts_from_the_claim_until_redis_has_it_also_of_what_is_kept(
    steps: Steps, rows: Rows, dispatcher: Dispatcher, times: HandOverTimes, patient: None
) -> None:
    worker = steps.add_worker()
    _, urgent, _ = (rows.add_job(priority=priority) for priority in (0, 9, 0))
    before = time.monotonic()
    dispatcher.step()
    claimed = time.monotonic()
    assert counted(times) == [("coding", 1)]

    start(steps, rows, worker, urgent)
    eventually(lambda: time.monotonic() - claimed > 0.1)
    dispatcher.step()

    ((one, jobs),) = times.take().items()
    assert (one.queue, jobs) == ("coding", 2)
    assert latency_bucket(0.1) <= one.bucket <= latency_bucket(time.monotonic() - before)


def test_what_redis_did_not_take_is_counted_when_it_is_handed_over(
    steps: Steps, rows: Rows, dispatcher: Dispatcher, times: HandOverTimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.add_worker()
    for priority in (0, 5, 9):
        rows.add_job(priority=priority)

    def gone(**_: object) -> None:
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(dispatcher._publisher, "_publish", gone)
        with pytest.raises(RedisUnavailableError):
            dispatcher.step()
    assert counted(times) == []

    rows.all("UPDATE coding_jobs SET priority = 0, run_at = NULL")
    dispatcher.step()
    assert sum(jobs for _, jobs in counted(times)) == 3


def begun(fleet: Fleet, *job_ids: UUID) -> list[UUID]:
    """Those of the jobs that began, in this order."""
    return [job_id for job_id, _ in fleet.actor_log.started if job_id in job_ids]


def test_an_urgent_job_overtakes_what_was_handed_over_and_has_not_begun(
    fleet: Fleet, steps: Steps, rows: Rows, add: Add, redis_url: str
) -> None:
    busy = [add("wait_at_gate") for _ in range(4)]
    eventually(lambda: len(begun(fleet, *busy)) == 4)
    low = [add("wait_at_gate", {"gate": "low"}) for _ in range(6)]
    with connect_redis(redis_url) as client:  # as a bridge does that counts on free slots
        Publisher(client, "mobvibe").publish(steps.claim(ahead={"tests": 10}))
        eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE fence = 1") == 10)

        urgent = add("wait_at_gate", {"gate": "low"}, priority=7)
        eventually(lambda: rows.status(urgent) == "processing", what="a claim beyond the slots")
        eventually(lambda: client.lindex("mobvibe:tests", 0) == f"{urgent}:1".encode(), what="its place before all")
    fleet.actor_log.gates["gate"].set()
    eventually(lambda: len(begun(fleet, urgent, *low)) == 4, what="all four threads to go on")

    assert urgent in begun(fleet, urgent, *low)
    fleet.actor_log.gates["low"].set()
    finished(rows, urgent, *low)
    check_invariants(rows)


def test_of_one_claim_that_two_processes_share_no_job_begins_before_a_more_urgent_one(
    new_fleet: NewFleet, rows: Rows, add: Add, patient: None
) -> None:
    first, second = new_fleet(), new_fleet()
    jobs = {add("double", {"n": n}, priority=n): n for n in range(4)}  # as many as there are slots: one claim
    for fleet in (first, second):
        fleet.start_worker(threads=2)
    first.start_bridge()
    finished(rows, *jobs)

    rows_by_start = rows.all("SELECT id, priority FROM coding_jobs ORDER BY started_at")
    assert [row["priority"] for row in rows_by_start] == sorted(jobs.values(), reverse=True)
    assert len(first.actor_log.started) + len(second.actor_log.started) == 4
    check_invariants(rows)


def test_the_others_go_on_when_the_process_that_took_the_urgent_job_dies(
    new_fleet: NewFleet, rows: Rows, add: Add, client: redis.Redis
) -> None:
    fleet = new_fleet(lease_ms=5000)  # the others end before it is over, however slow the machine is
    fleet.start_worker()
    fleet.broker.draining = True  # another process is quicker
    low = [add("double", {"n": n}) for n in range(3)]
    urgent = add("double", {"n": 3}, priority=9)
    fleet.start_bridge()
    eventually(lambda: client.lindex("mobvibe:tests", 0) == f"{urgent}:1".encode())
    dead = JobBroker(client, middleware=[])
    assert dead.exchange("tests", Room(1), [])[2] == f"{urgent}:1".encode()

    fleet.broker.draining = False
    finished(rows, *low)
    assert rows.status(urgent) == "processing"

    assert finished(rows, urgent)["status"] == "completed"
    assert rows.outcomes(urgent) == ["released", "completed"]
    assert all(fleet.actor_log.starts(job_id) == 1 for job_id in (*low, urgent))
    check_invariants(rows)

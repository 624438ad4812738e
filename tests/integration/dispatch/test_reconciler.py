"""Messages that Redis lost are published again with the same fence, before the lease of the hand-over ends."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis

from bridge.dispatch.dispatcher import Dispatcher
from bridge.dispatch.hand_over_times import HandOverTimes
from bridge.dispatch.reconciler import Reconciler
from bridge.errors import PostgresUnavailableError
from bridge.job import Claim
from bridge.transport.client import connect_redis
from bridge.transport.epoch import RedisEpoch
from bridge.transport.publisher import Publisher
from tests.support.failover_loop import patient_client
from tests.support.fleet import Fleet
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

QUEUE = "mobvibe:coding"


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return connect_redis(redis_url)


@pytest.fixture
def publisher(client: redis.Redis) -> Publisher:
    return Publisher(client, "mobvibe")


@pytest.fixture
def reconciler(steps: Steps, client: redis.Redis, publisher: Publisher) -> Reconciler:
    reconciler = Reconciler(steps.queue, publisher, RedisEpoch(client, "mobvibe"))
    reconciler.step()  # reads the epoch for the first time
    return reconciler


def hand_over(steps: Steps, rows: Rows, publisher: Publisher, count: int = 1) -> list[Claim]:
    """Hand over some jobs, as if they had waited for a while."""
    for _ in range(count):
        rows.add_job()
    steps.add_worker()
    claims = steps.claim()
    publisher.publish(claims, {claim.queue: 10 for claim in claims})
    rows.all("UPDATE coding_jobs SET claimed_at = claimed_at - interval '3 s' WHERE status = 'processing'")
    return claims


def names(client: redis.Redis) -> list[str]:
    listed: list[bytes] = client.lrange(QUEUE, 0, -1)  # type: ignore[assignment]
    return sorted(name.decode() for name in listed)


def test_an_emptied_redis_gets_every_waiting_job_again_with_the_same_fence(
    steps: Steps, rows: Rows, client: redis.Redis, publisher: Publisher, reconciler: Reconciler
) -> None:
    claims = hand_over(steps, rows, publisher, 3)
    assert len(names(client)) == 1, "they travel together"
    client.flushdb()

    reconciler.step()

    assert names(client) == sorted(f"{claim.job_id}:{claim.fence}" for claim in claims)
    reconciler.step()
    assert len(names(client)) == 3, "once each"


def test_what_is_handed_over_again_is_in_order_of_priority(
    steps: Steps, rows: Rows, client: redis.Redis, publisher: Publisher, reconciler: Reconciler
) -> None:
    for priority in (0, 9, 5):
        rows.add_job(priority=priority)
        hand_over(steps, rows, publisher, 0)
    client.flushdb()

    reconciler.step()

    listed: list[bytes] = client.lrange(QUEUE, 0, -1)  # type: ignore[assignment]
    jobs = [name.decode().partition(":")[0] for name in listed]
    assert [rows.job(UUID(job))["priority"] for job in jobs] == [9, 5, 0]


def test_more_lost_jobs_than_one_query_returns_are_handed_over_again(
    steps: Steps,
    rows: Rows,
    client: redis.Redis,
    publisher: Publisher,
    reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.dispatch.reconciler._BATCH", 2)
    claims = hand_over(steps, rows, publisher, 7)
    client.flushdb()

    reconciler.step()

    assert names(client) == sorted(f"{claim.job_id}:{claim.fence}" for claim in claims)


def test_nothing_is_published_to_a_redis_that_lost_nothing(
    steps: Steps, rows: Rows, client: redis.Redis, publisher: Publisher, reconciler: Reconciler
) -> None:
    hand_over(steps, rows, publisher)
    before = names(client)

    for _ in range(3):
        reconciler.step()

    assert names(client) == before


def test_started_and_ended_jobs_are_not_handed_over_again(
    steps: Steps, rows: Rows, client: redis.Redis, publisher: Publisher, reconciler: Reconciler
) -> None:
    started, cancelled = hand_over(steps, rows, publisher, 2)
    assert steps.start(steps.add_worker(), started)
    steps.queue.cancel_job(cancelled.job_id)
    rows.add_job()
    assert steps.queue.claim_next_job()
    client.flushdb()

    reconciler.step()

    assert names(client) == []


def test_a_single_lost_message_is_published_again_after_a_while(
    steps: Steps,
    rows: Rows,
    client: redis.Redis,
    publisher: Publisher,
    reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost, kept = hand_over(steps, rows, publisher, 1)[0], names(client)[0]
    client.hdel(f"{QUEUE}.msgs", kept)
    client.delete(QUEUE)
    monkeypatch.setattr("bridge.dispatch.reconciler.time.monotonic", lambda: publisher.published_at + 1000)

    reconciler.step()

    assert names(client) == [f"{lost.job_id}:{lost.fence}"]


def test_messages_that_a_dead_worker_took_and_did_not_start_are_published_again(
    steps: Steps, rows: Rows, client: redis.Redis, publisher: Publisher, reconciler: Reconciler
) -> None:
    (claim,) = hand_over(steps, rows, publisher)
    taken = client.lpop(QUEUE)  # its payload stays until it is acknowledged
    assert taken
    reconciler.step()
    assert names(client) == []

    reconciler.search()
    reconciler.step()

    assert names(client) == [f"{claim.job_id}:{claim.fence}"]


def test_what_is_handed_over_again_counts_once_more_and_what_redis_still_has_does_not(
    steps: Steps, rows: Rows, client: redis.Redis, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = HandOverTimes()
    reconciler = Reconciler(steps.queue, publisher, RedisEpoch(client, "mobvibe"), hand_over_times=times)
    reconciler.step()
    lost, _, _ = hand_over(steps, rows, publisher, 3)
    client.delete(QUEUE, f"{QUEUE}.msgs")
    publisher.publish(steps.queue.waiting_claims(age=timedelta(0), limit=10)[1:])

    monkeypatch.setattr(reconciler, "_next_check", 0.0)
    reconciler.step()
    assert [(one.queue, jobs) for one, jobs in times.take().items()] == [("coding", 1)]
    assert f"{lost.job_id}:{lost.fence}" in names(client)

    reconciler.search()
    reconciler.step()
    assert times.take().total() == 3, "any of them may be lost"


def test_a_hand_over_with_an_expired_lease_is_left_to_the_sweep(steps: Steps, rows: Rows, publisher: Publisher) -> None:
    (claim,) = hand_over(steps, rows, publisher)
    steps.expire(claim.job_id)

    assert steps.queue.waiting_claims(age=timedelta(0), limit=10) == []


def test_an_idle_bridge_queries_postgres_seldom(
    steps: Steps, client: redis.Redis, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler = Reconciler(steps.queue, publisher, RedisEpoch(client, "mobvibe"))
    looks: list[timedelta] = []

    def counted_query(*, age: timedelta, limit: int) -> list[Claim]:
        assert limit
        looks.append(age)
        return []

    monkeypatch.setattr(steps.queue, "waiting_claims", counted_query)
    now = [publisher.published_at + 10.0]
    monkeypatch.setattr("bridge.dispatch.reconciler.time.monotonic", lambda: now[0])

    for _ in range(200):
        reconciler.step()
        now[0] += 0.5

    assert 8 <= len(looks) <= 11, "every ten seconds"


@pytest.fixture
def clock(publisher: Publisher, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The reconciler's clock, after a check since which nothing was published."""
    now = [publisher.published_at]
    monkeypatch.setattr("bridge.dispatch.reconciler.time.monotonic", lambda: now[0])
    for _ in range(4):
        now[0] += 5
        reconciler.step()
    return now


def test_claims_of_a_bridge_that_died_before_publishing_are_found_by_an_idle_one(
    steps: Steps, rows: Rows, client: redis.Redis, reconciler: Reconciler, clock: list[float]
) -> None:
    rows.add_job()
    steps.add_worker()
    (claim,) = steps.claim()
    rows.all("UPDATE coding_jobs SET claimed_at = claimed_at - interval '3 s'")

    for _ in range(20):
        clock[0] += 0.5
        reconciler.step()

    assert names(client) == [f"{claim.job_id}:{claim.fence}"]


def test_claims_whose_answer_was_lost_are_found_sooner(
    steps: Steps,
    rows: Rows,
    client: redis.Redis,
    publisher: Publisher,
    reconciler: Reconciler,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = rows.add_job()
    steps.add_worker()
    claim_jobs = steps.queue.claim_jobs

    def claim_without_answer(*args: Any, **options: Any) -> list[Claim]:
        assert claim_jobs(*args, **options)
        raise PostgresUnavailableError("no answer")

    monkeypatch.setattr(steps.queue, "claim_jobs", claim_without_answer)
    dispatcher = Dispatcher(
        steps.queue, publisher, reconciler.claim_unanswered, name="bridge", lease_seconds=30, poll_seconds=1
    )
    with pytest.raises(PostgresUnavailableError):
        dispatcher.step()
    rows.all("UPDATE coding_jobs SET claimed_at = claimed_at - interval '3 s'")

    clock[0] += 5
    reconciler.step()

    assert names(client) == [f"{job_id}:1"]


def test_jobs_run_again_soon_after_redis_was_emptied(
    new_fleet: Callable[..., Fleet], rows: Rows, redis_url: str
) -> None:
    fleet = new_fleet(lease_ms=60_000)
    fleet.start_worker()
    client = patient_client(redis_url)
    fleet.broker.draining = True  # no worker takes what the bridge hands over
    fleet.start_bridge()
    eventually(lambda: client.exists("mobvibe:__road__"))
    jobs: list[UUID] = [rows.add_job(actor="double", queue="tests", payload={"n": n}) for n in range(4)]
    eventually(lambda: client.llen("mobvibe:tests") == 4)

    client.flushdb()
    fleet.broker.draining = False

    eventually(lambda: all(rows.job(job_id)["status"] == "completed" for job_id in jobs), seconds=5)
    assert all(rows.job(job_id)["fence"] == 1 for job_id in jobs), "the same attempt"
    check_invariants(rows)

"""One step of the dispatcher: pending jobs are handed over, or stay pending."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from bridge.dispatch.dispatcher import Dispatcher
from bridge.errors import RedisUnavailableError
from bridge.postgres.job_queue import JobQueue
from bridge.transport.client import connect_redis
from bridge.transport.publisher import Publisher
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.steps import Steps


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect_redis(redis_url) as client:
        yield client


def dispatcher(steps: Steps, publisher: Publisher) -> Dispatcher:
    return Dispatcher(steps.queue, publisher, name="bridge", lease_seconds=30, poll_seconds=5)


def test_as_many_jobs_are_handed_over_as_workers_have_free_slots(steps: Steps, rows: Rows, client: redis.Redis) -> None:
    first, second, waiting = (rows.add_job() for _ in range(3))
    steps.add_worker(slots=2)

    dispatcher(steps, Publisher(client, "mobvibe")).step()

    assert client.lrange("mobvibe:coding", 0, -1) == [f"{job_id}:1".encode() for job_id in (first, second)]
    assert [rows.status(job_id) for job_id in (first, second, waiting)] == ["processing", "processing", "pending"]
    check_invariants(rows)


def test_where_there_is_room_jobs_are_claimed_before_the_slots_are_counted_again(
    steps: Steps, rows: Rows, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(name: str) -> None:
        call = getattr(JobQueue, name)

        def noting(*args: Any, **kwargs: Any) -> Any:
            made.append(name)
            return call(*args, **kwargs)

        monkeypatch.setattr(JobQueue, name, noting)

    noted("queue_room")
    noted("claim_jobs")
    monkeypatch.setattr("bridge.dispatch.capacity._COUNT_SECONDS", 0.0)
    monkeypatch.setattr("bridge.dispatch.capacity._COUNT_SHARE", 0)
    steps.add_worker(slots=2)
    ours = dispatcher(steps, Publisher(client, "mobvibe"))
    ours.step()
    assert made == ["queue_room", "claim_jobs"], "nothing was known"

    made.clear()
    first, second = rows.add_job(), rows.add_job()
    ours.step()
    assert made == ["claim_jobs", "queue_room"]
    assert [rows.status(job_id) for job_id in (first, second)] == ["processing", "processing"]

    made.clear()
    ours.step()
    assert made == ["queue_room"], "there is no room"

    made.clear()
    steps.add_worker(slots=2)
    ours.request_count()
    third = rows.add_job()
    ours.step()
    assert made[:2] == ["queue_room", "claim_jobs"], "what was known may be wrong by much"
    assert rows.status(third) == "processing"


def test_the_dispatcher_rests_until_the_next_job_is_due_and_at_most_a_poll_interval(
    steps: Steps, rows: Rows, client: redis.Redis
) -> None:
    steps.add_worker()
    assert 1 < dispatcher(steps, Publisher(client, "mobvibe")).step() <= 5

    rows.all("INSERT INTO coding_jobs (run_at) VALUES (clock_timestamp() + interval '1 s')")

    assert 0 < dispatcher(steps, Publisher(client, "mobvibe")).step() <= 1


def test_claims_that_redis_does_not_take_are_put_back_and_none_is_made_before_it_answers(
    steps: Steps, rows: Rows
) -> None:
    job_id = rows.add_job()
    steps.add_worker()
    with connect_redis("redis://127.0.0.1:9/0") as nobody:
        step = dispatcher(steps, Publisher(nobody, "mobvibe")).step
        for _ in range(3):
            with pytest.raises(RedisUnavailableError):
                step()

    assert (rows.status(job_id), rows.job(job_id)["retry_count"]) == ("pending", 0)
    assert rows.outcomes(job_id) == ["released"]
    check_invariants(rows)

"""Keys of ours that another application wrote with another type: named, left alone, and blocking one queue only."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

import pytest
import redis

from bridge.cli.doctor_redis import examine_redis
from bridge.dispatch.closed_queues import ClosedQueues
from bridge.dispatch.reconciler import Reconciler
from bridge.dispatch.suspects import Suspects
from bridge.errors import WrongKeyError
from bridge.job import Claim
from bridge.settings import Settings
from bridge.transport.epoch import RedisEpoch
from bridge.transport.publisher import Publisher
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


def add(rows: Rows) -> UUID:
    return rows.add_job(actor="double", queue="tests", payload={"n": 21})


def completed(rows: Rows, job_id: UUID) -> None:
    eventually(lambda: rows.status(job_id) == "completed", seconds=20, what="the end of the job")


def findings(settings: Settings) -> list[str]:
    return [found.found for found in examine_redis(settings) if found.check == "redis keys"]


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[str]:
    return [vars(record)["reason"] for record in caplog.records if record.message == message]


def wrong(client: redis.Redis, key: str) -> None:
    client.delete(key)
    client.set(key, "theirs")


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        ("mobvibe:tests", "list", "A queue's jobs wait: Redis has a key of another type"),
        ("mobvibe:tests.msgs", "hash", "A queue's jobs wait: Redis has a key of another type"),
        ("mobvibe:__priorities__.tests", "hash", "A queue's jobs wait: Redis has a key of another type"),
        ("mobvibe:__heartbeats__", "zset", "A queue cannot be read, its jobs wait"),
        ("mobvibe:__acks__.{worker}.tests", "set", "A queue cannot be read, its jobs wait"),
    ],
)
def test_a_key_of_another_type_is_named_and_left_alone(
    fleet: Fleet, rows: Rows, client: redis.Redis, settings: Settings, caplog: pytest.LogCaptureFixture,
    key: str, kind: str, message: str,
) -> None:  # fmt: skip
    completed(rows, add(rows))
    key = key.format(worker=fleet.broker.broker_id)
    wrong(client, key)

    job_id = add(rows)
    (reason, *_) = eventually(lambda: lines(caplog, message), what=message)

    assert f"the key {key!r} is not a {kind}" in reason
    assert f"DEL {key}" in reason
    assert findings(settings) == [f"the key {key!r} is not a {kind}"]
    assert not [record for record in caplog.records if "unreachable" in record.message]
    assert client.get(key) == b"theirs"
    client.delete(key)
    completed(rows, job_id)


def two_queues(steps: Steps, rows: Rows, **columns: object) -> list[Claim]:
    """A job in each of two queues, claimed some time ago for a worker of both, and not published."""
    for queue in ("a", "b"):
        rows.add_job(queue=queue, **columns)
    steps.add_worker(queues=["a", "b"])
    claims = steps.claim()
    rows.all("UPDATE coding_jobs SET claimed_at = claimed_at - interval '3 s' WHERE status = 'processing'")
    return claims


def test_each_closed_queue_is_named_with_its_own_key(
    steps: Steps, rows: Rows, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = Publisher(client, "mobvibe")
    claims = two_queues(steps, rows)
    wrong(client, "mobvibe:a")
    wrong(client, "mobvibe:b.msgs")

    with pytest.raises(WrongKeyError, match=r"'mobvibe:a' is not a list.*'mobvibe:b.msgs' is not a hash") as raised:
        publisher.publish(claims)
    ClosedQueues(publisher.check_queue).close(raised.value)

    named = {vars(one)["queue"]: vars(one)["reason"] for one in caplog.records}
    assert {queue: reason.partition(";")[0] for queue, reason in named.items()} == {
        "a": "the key 'mobvibe:a' is not a list",
        "b": "the key 'mobvibe:b.msgs' is not a hash",
    }
    assert "DEL mobvibe:b.msgs" in named["b"]


def test_lost_jobs_of_a_closed_queue_are_handed_over_again_when_it_is_open(
    steps: Steps, rows: Rows, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    closed: list[WrongKeyError] = []
    two_queues(steps, rows)
    wrong(client, "mobvibe:a")
    publisher, epoch = Publisher(client, "mobvibe"), RedisEpoch(client, "mobvibe")
    reconciler = Reconciler(steps.queue, publisher, epoch, on_closed=closed.append)
    reconciler.search()

    reconciler.step()

    assert [vars(one)["jobs"] for one in caplog.records if one.message == "Jobs handed over again"] == [1]
    assert (client.llen("mobvibe:b"), [list(error.queues) for error in closed]) == (1, [["a"]])
    client.delete("mobvibe:a")
    reconciler.step()
    assert (client.llen("mobvibe:a"), client.llen("mobvibe:b")) == (1, 1)


def test_a_backlog_of_a_closed_queue_does_not_keep_the_search_for_lost_jobs_going(
    steps: Steps, rows: Rows, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.dispatch.reconciler._BATCH", 1)
    two_queues(steps, rows)
    wrong(client, "mobvibe:a")
    reconciler = Reconciler(steps.queue, Publisher(client, "mobvibe"), RedisEpoch(client, "mobvibe"))
    reconciler.search()
    began = time.monotonic()

    reconciler.step()

    assert client.llen("mobvibe:b") == 1
    assert time.monotonic() - began < 5


def test_suspects_of_open_queues_are_claimed_beside_a_closed_queue(
    steps: Steps, rows: Rows, client: redis.Redis
) -> None:
    closed: list[WrongKeyError] = []
    suspects: list[int] = []
    two_queues(steps, rows)
    wrong(client, "mobvibe:a")
    publisher, epoch = Publisher(client, "mobvibe"), RedisEpoch(client, "mobvibe")
    reconciler = Reconciler(steps.queue, publisher, epoch, lambda: suspects.append(1), closed.append)
    publisher.published_at = reconciler._next_check = time.monotonic()

    eventually(lambda: reconciler.step() and client.llen("mobvibe:b"), what="a check")

    assert (bool(suspects), [list(error.queues) for error in closed]) == (True, [["a"]])


def test_suspects_of_a_closed_queue_wait_and_the_others_run(
    steps: Steps, rows: Rows, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    closed: list[WrongKeyError] = []
    two_queues(steps, rows, crashes=2)
    wrong(client, "mobvibe:a")
    suspects = Suspects(
        steps.queue, Publisher(client, "mobvibe"), lambda: 2, closed.append, name="bridge", lease_seconds=30
    )

    suspects.hand_over()  # those of one queue
    suspects.hand_over()

    assert client.llen("mobvibe:b") == 1

    assert {queue for error in closed for queue in error.queues} == {"a"}
    assert sum("Job runs alone" in one.message for one in caplog.records) == 1


def test_a_wrong_key_is_named_though_only_suspects_wait(
    new_fleet: Callable[..., Fleet], rows: Rows, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    wrong(client, "mobvibe:tests.msgs")
    job_id = rows.add_job(actor="double", queue="tests", payload={"n": 1}, crashes=2)
    new_fleet().start()

    eventually(lambda: lines(caplog, "A queue's jobs wait: Redis has a key of another type"), what="its name")

    client.delete("mobvibe:tests.msgs")
    completed(rows, job_id)

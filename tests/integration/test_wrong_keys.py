"""Keys of ours that another application made something else of: named, left alone, and in the way of one queue only."""

import logging
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
import redis

from bridge.closed_queues import ClosedQueues
from bridge.dispatcher import Dispatcher
from bridge.doctor_redis import examine_redis
from bridge.errors import WrongKeyError
from bridge.job import Claim
from bridge.reconciler import Reconciler
from bridge.settings import Settings
from bridge.suspects import Suspects
from bridge.transport.client import connect_redis
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.publisher import Publisher
from bridge.transport.road_mark import RoadMark
from tests.support.fleet import Fleet
from tests.support.hands import Hands
from tests.support.rows import Rows
from tests.support.waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect_redis(redis_url) as client:
        yield client


def add(rows: Rows) -> UUID:
    return rows.add_job(actor="double", queue="tests", payload={"n": 21})


def completed(rows: Rows, job_id: UUID) -> None:
    eventually(lambda: rows.status(job_id) == "completed", seconds=20, what="the end of the job")


def said(settings: Settings) -> list[str]:
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
        ("mobvibe:__heartbeats__", "zset", "A queue cannot be read, its jobs wait"),
        ("mobvibe:__acks__.{worker}.tests", "set", "A queue cannot be read, its jobs wait"),
    ],
)
def test_a_key_of_another_type(
    fleet: Fleet, rows: Rows, client: redis.Redis, settings: Settings, caplog: pytest.LogCaptureFixture,
    key: str, kind: str, message: str,
) -> None:  # fmt: skip
    completed(rows, add(rows))
    key = key.format(worker=fleet.broker.broker_id)
    wrong(client, key)

    job_id = add(rows)
    (reason, *_) = eventually(lambda: lines(caplog, message), what=message)

    assert f"the key {key!r} is no {kind}" in reason
    assert f"DEL {key}" in reason
    assert said(settings) == [f"the key {key!r} is no {kind}"]
    assert not [record for record in caplog.records if "unreachable" in record.message]
    assert client.get(key) == b"theirs"
    client.delete(key)
    completed(rows, job_id)


def test_a_closed_queue_is_claimed_for_once_and_the_others_go_on(fleet: Fleet, rows: Rows, client: redis.Redis) -> None:
    wrong(client, "mobvibe:tests")
    stopped = [add(rows) for _ in range(3)]
    eventually(lambda: any(rows.job(job_id)["fence"] for job_id in stopped))

    others = [rows.add_job(actor="plain", queue="default", payload={"args": []}) for _ in range(20)]
    for job_id in others:
        completed(rows, job_id)

    claims = [rows.job(job_id)["fence"] for job_id in [*stopped, *others]]
    assert max(claims) <= 2, claims


@pytest.mark.parametrize("worker", ["busy", "gone"])
def test_a_closed_queue_without_room_costs_the_bridge_no_hot_loop(
    new_fleet: Callable[..., Fleet], rows: Rows, client: redis.Redis, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, worker: str,
) -> None:  # fmt: skip
    steps: list[float] = []
    step = Dispatcher.step

    def counted(self: Dispatcher) -> float:
        steps.append(time.monotonic())
        return step(self)

    monkeypatch.setattr(Dispatcher, "step", counted)
    fleet = new_fleet()
    process = fleet.start_worker(threads=1)
    fleet.start_bridge()
    wrong(client, "mobvibe:default")
    stopped = rows.add_job(actor="plain", queue="default", payload={"args": []})
    eventually(lambda: lines(caplog, "A queue's jobs wait: Redis has a key of another type"))
    if worker == "busy":
        rows.add_job(actor="wait_at_gate", queue="tests", payload={})
        eventually(lambda: fleet.doings.started, what="a full slot")
    else:
        process.stop(5000)
    since = time.monotonic() + 2.5  # by then its next look has come

    eventually(lambda: time.monotonic() > since + 1, what="steps to count")

    assert sum(1 for at in steps if since <= at < since + 1) <= 50
    client.delete("mobvibe:default")
    if worker == "gone":
        new_fleet().start_worker(threads=1)
    fleet.doings.gates["gate"].set()
    completed(rows, stopped)


def two_queues(hands: Hands, rows: Rows, **columns: object) -> list[Claim]:
    """A job in each, handed over to a worker of both some time ago, and not published."""
    for queue in ("a", "b"):
        rows.add_job(queue=queue, **columns)
    hands.add_worker(queues=["a", "b"])
    claims = hands.claim()
    rows.all("UPDATE coding_jobs SET claimed_at = claimed_at - interval '3 s' WHERE status = 'processing'")
    return claims


def test_each_closed_queue_is_told_with_the_key_of_its_own(
    hands: Hands, rows: Rows, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = Publisher(client, "mobvibe")
    claims = two_queues(hands, rows)
    wrong(client, "mobvibe:a")
    wrong(client, "mobvibe:b.msgs")

    with pytest.raises(WrongKeyError, match=r"'mobvibe:a' is no list.*'mobvibe:b.msgs' is no hash") as raised:
        publisher.publish(claims)
    ClosedQueues(publisher.check_queue).close(raised.value)

    told = {vars(one)["queue"]: vars(one)["reason"] for one in caplog.records}
    assert {queue: reason.partition(";")[0] for queue, reason in told.items()} == {
        "a": "the key 'mobvibe:a' is no list",
        "b": "the key 'mobvibe:b.msgs' is no hash",
    }
    assert "DEL mobvibe:b.msgs" in told["b"]


def test_what_a_closed_queue_lost_is_handed_over_again_when_it_is_open(
    hands: Hands, rows: Rows, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    closed: list[WrongKeyError] = []
    two_queues(hands, rows)
    wrong(client, "mobvibe:a")
    publisher, road = Publisher(client, "mobvibe"), RoadMark(client, "mobvibe")
    reconciler = Reconciler(hands.queue, publisher, road, on_closed=closed.append)
    reconciler.search()

    reconciler.step()

    assert [vars(one)["jobs"] for one in caplog.records if one.message == "Jobs handed over again"] == [1]
    assert (client.llen("mobvibe:b"), [list(error.queues) for error in closed]) == (1, [["a"]])
    client.delete("mobvibe:a")
    reconciler.step()
    assert (client.llen("mobvibe:a"), client.llen("mobvibe:b")) == (1, 1)


def test_a_backlog_of_a_closed_queue_ends_the_look_for_what_was_lost(
    hands: Hands, rows: Rows, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.reconciler._BATCH", 1)
    two_queues(hands, rows)
    wrong(client, "mobvibe:a")
    reconciler = Reconciler(hands.queue, Publisher(client, "mobvibe"), RoadMark(client, "mobvibe"))
    reconciler.search()
    began = time.monotonic()

    reconciler.step()

    assert client.llen("mobvibe:b") == 1
    assert time.monotonic() - began < 5


def test_suspects_are_not_passed_over_for_a_closed_queue(hands: Hands, rows: Rows, client: redis.Redis) -> None:
    closed: list[WrongKeyError] = []
    suspects: list[int] = []
    two_queues(hands, rows)
    wrong(client, "mobvibe:a")
    publisher, road = Publisher(client, "mobvibe"), RoadMark(client, "mobvibe")
    reconciler = Reconciler(hands.queue, publisher, road, lambda: suspects.append(1), closed.append)
    publisher.published_at = reconciler._next_look = time.monotonic()

    eventually(lambda: reconciler.step() and client.llen("mobvibe:b"), what="a look")

    assert (bool(suspects), [list(error.queues) for error in closed]) == (True, [["a"]])


def test_suspects_of_a_closed_queue_wait_and_the_others_run(
    hands: Hands, rows: Rows, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    closed: list[WrongKeyError] = []
    two_queues(hands, rows, crashes=1)
    wrong(client, "mobvibe:a")
    suspects = Suspects(
        hands.queue, Publisher(client, "mobvibe"), lambda: 2, closed.append, name="bridge", lease_seconds=30
    )

    suspects.hand_over()  # those of one queue
    suspects.hand_over()

    assert client.llen("mobvibe:b") == 1

    assert {queue for error in closed for queue in error.queues} == {"a"}
    assert sum("Job runs alone" in one.message for one in caplog.records) == 1


def test_a_key_is_named_where_only_suspects_wait(
    new_fleet: Callable[..., Fleet], rows: Rows, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    wrong(client, "mobvibe:tests.msgs")
    job_id = rows.add_job(actor="double", queue="tests", payload={"n": 1}, crashes=1)
    new_fleet().start()

    eventually(lambda: lines(caplog, "A queue's jobs wait: Redis has a key of another type"), what="its name")

    client.delete("mobvibe:tests.msgs")
    completed(rows, job_id)


def test_the_mark_of_a_database(client: redis.Redis) -> None:
    client.rpush("mobvibe:__database__", "theirs")

    with pytest.raises(WrongKeyError, match=r"the key 'mobvibe:__database__' is no string; .*DEL mobvibe:__database__"):
        DatabaseMark(client, "mobvibe").take("id name")


def test_without_its_mark_losses_cannot_be_seen_and_it_says_so_once(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.rpush("mobvibe:__road__", "theirs")
    mark = RoadMark(client, "mobvibe")

    assert [mark.has_changed() for _ in range(3)] == [False] * 3

    (reason,) = lines(caplog, "It cannot be seen whether Redis lost messages")
    assert "the key 'mobvibe:__road__' is no string" in reason

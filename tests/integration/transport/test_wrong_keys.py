"""Keys of ours that another application made something else of: named, left alone, and in the way of one queue only."""

from uuid import UUID

import pytest
import redis

from bridge.cli.doctor_redis import examine_redis
from bridge.settings import Settings
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually


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

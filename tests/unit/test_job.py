"""The small pure pieces: addresses, backoff, JSON text, jobs."""

from datetime import timedelta
from uuid import uuid4

import pytest

from bridge import Fail, Job, Retry, current_job
from bridge.addresses import host_and_port, host_port_and_name, mask_address
from bridge.errors import PayloadError
from bridge.job import running_as
from bridge.postgres.json_text import storable_text, to_json
from bridge.runtime.backoff import full_jitter


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("postgresql://u:geheim@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("redis://:geheim@h:6379/0", "redis://:***@h:6379/0"),
        ("postgresql://h/d?user=u&password=geheim&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("postgresql://h/d", "postgresql://h/d"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, masked: str) -> None:
    assert mask_address(address) == masked


def test_an_address_is_named_as_people_say_it() -> None:
    assert host_and_port("postgresql://u:p@db.example:6543/d", 5432) == "db.example:6543"
    assert host_and_port("redis://127.0.0.1", 6379) == "127.0.0.1:6379"
    assert host_and_port("unix:///tmp/redis.sock", 6379) == "/tmp/redis.sock"


@pytest.mark.parametrize(
    ("address", "database"),
    [
        ("postgresql://u:p%2Fw@db.example:6543/d?sslmode=require", "db.example:6543/d"),
        ("postgres://[::1]/d", "[::1]:5432/d"),
        ("postgresql:///d?host=/var/run/postgresql&port=5433&password=x@y", "/var/run/postgresql:5433/d"),
    ],
)
def test_a_database_is_named_by_its_host_port_and_name(address: str, database: str) -> None:
    assert host_port_and_name(address) == database


def test_the_wait_grows_up_to_its_cap_and_uses_the_whole_range() -> None:
    waits = [full_jitter(3, base_seconds=0.1, cap_seconds=5) for _ in range(500)]
    assert 0 <= min(waits) < 0.1
    assert 0.7 < max(waits) <= 0.8
    assert max(full_jitter(10_000, cap_seconds=5) for _ in range(100)) <= 5


def test_json_that_postgres_refuses_is_made_storable() -> None:
    assert to_json({"a": "\x00", "b": ["\ud800"]}, "payload") == '{"a":"\\ufffd","b":["?"]}'
    assert to_json({"a": "\\u0000"}, "payload") == '{"a":"\\\\u0000"}'
    assert to_json({"a": "😀"}, "payload") == '{"a":"\\ud83d\\ude00"}'
    assert storable_text("a\x00b") == "a�b"


def test_what_is_no_json_is_named() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    for value in (object(), {"x": float("inf")}, {1, 2}, nested):
        with pytest.raises(PayloadError, match="the result cannot be stored as JSON"):
            to_json(value, "result")


def test_a_job_shows_neither_prompt_nor_payload() -> None:
    job = Job(id=uuid4(), prompt="geheim", payload={"key": "geheim"}, session_id=uuid4())

    assert "geheim" not in repr(job)
    assert str(job.id) in repr(job)


def test_a_job_built_by_hand_can_emit() -> None:
    Job(id=uuid4()).emit("terminal", {"output": "x"})


def test_current_job_is_known_inside_only() -> None:
    job = Job(id=uuid4())
    with running_as(job):
        assert current_job() is job
    with pytest.raises(RuntimeError, match="inside an actor only"):
        current_job()


def test_a_retry_takes_seconds_or_a_timedelta() -> None:
    assert Retry(delay=1.5).delay == timedelta(seconds=1.5)
    assert Retry(delay=timedelta(minutes=1)).delay == timedelta(minutes=1)
    assert Retry().delay is None
    assert str(Fail("no")) == "no"

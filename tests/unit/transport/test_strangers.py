"""What is not ours in Redis: left where it is, as it is, however much of it there is."""

import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import fakeredis
import pytest
import redis

from bridge.errors import BadMessageError, NamespaceTakenError, SettingsError
from bridge.job import Claim
from bridge.transport.consumer import JobConsumer
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.housekeeping import Housekeeping
from bridge.transport.intake import JobMessage, PlainIntake
from bridge.transport.job_broker import JobBroker
from bridge.transport.messages import seal
from bridge.transport.names import WORKER_PREFIX
from bridge.transport.publisher import Publisher
from bridge.transport.strangers import STRETCH, Strangers
from tests.support.waiting import eventually

LIST, PAYLOADS = "mobvibe:coding", "mobvibe:coding.msgs"
ALPHA, BETA = "11111111-1111-4111-8111-111111111111 alpha", "22222222-2222-4222-8222-222222222222 beta"


class OursOnly(PlainIntake):
    takes_any = False


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    client: redis.Redis = fakeredis.FakeRedis()
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def broker(client: redis.Redis) -> Iterator[JobBroker]:
    broker = JobBroker(client, middleware=[])
    broker.declare_queue("coding")
    broker.intake = OursOnly()
    yield broker
    broker.close()


@pytest.fixture
def publisher(client: redis.Redis) -> Publisher:
    return Publisher(client, "mobvibe")


def claims(count: int) -> list[Claim]:
    return [Claim(uuid4(), 1, "coding", "run") for _ in range(count)]


def put_theirs(client: redis.Redis, *names: str | bytes) -> None:
    client.hset(PAYLOADS, mapping=dict.fromkeys(names, "theirs"))
    client.rpush(LIST, *names)


def put_ours(client: redis.Redis, *ours: Claim) -> None:
    """At the end, as a bridge of an older version does, or another application's clean-up."""
    for claim in ours:
        name, payload = seal([claim])
        client.hset(PAYLOADS, name, payload)
        client.rpush(LIST, name)


def take(broker: JobBroker, count: int, prefetch: int = 10) -> list[str]:
    consumer = broker.consume("coding", prefetch=prefetch, timeout=10)
    assert isinstance(consumer, JobConsumer)
    taken: list[str] = []

    def enough() -> bool:
        message = next(consumer)
        if message is not None:
            taken.append(message.args[0])
            consumer.ack(message)
        return len(taken) == count

    eventually(enough, what=f"{count} messages")
    assert [next(consumer) for _ in range(3)] == [None] * 3
    consumer.close()
    return taken


def ids(ours: Sequence[Claim]) -> list[str]:
    return [str(claim.job_id) for claim in ours]


UUID = "0aaaaaaa-0aaa-4aaa-8aaa-0aaaaaaaaaaa"


@pytest.mark.parametrize(
    "name",
    [UUID, "junk", b"\xff\xfe", "", f"{UUID}:", f"{UUID}:x", f"{UUID}:1x", f"x{UUID}:1", f"{UUID}:1:2", f"{UUID}:-1",
     f"{UUID}:1+2+3", f"{UUID[1:]}:1", f"{UUID}:1 ", f"{UUID}\n:1"],
)  # fmt: skip
def test_what_does_not_look_like_ours_stays(
    client: redis.Redis, broker: JobBroker, publisher: Publisher, name: str | bytes
) -> None:
    put_theirs(client, name)
    ours = claims(3)
    publisher.publish(ours)

    assert take(broker, 3) == ids(ours)

    expected = name.encode() if isinstance(name, str) else name
    assert client.lrange(LIST, 0, -1) == [expected]
    assert client.hgetall(PAYLOADS) == {expected: b"theirs"}
    assert client.keys("mobvibe:__acks__*") == client.keys("mobvibe:coding.XQ*") == []


@pytest.mark.parametrize("mark", ["", "+1", "+99", "!", "!!"])
def test_what_looks_like_ours_is_taken(client: redis.Redis, broker: JobBroker, mark: str) -> None:
    put_theirs(client, f"{UUID}:{2**63 - 1}{mark}")

    others_first, *taken = broker.exchange("coding", 1, [])

    assert (others_first, taken) == (0, [f"{UUID}:{2**63 - 1}{mark}".encode(), b"theirs"])


def test_ours_are_found_behind_any_number_of_theirs_and_theirs_keep_their_order(
    client: redis.Redis, broker: JobBroker, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = [str(uuid4()) for _ in range(3 * STRETCH)]
    first, second, third = claims(3)
    put_theirs(client, *theirs[:STRETCH])
    put_ours(client, first)
    put_theirs(client, *theirs[STRETCH : STRETCH + 10])
    put_ours(client, second)
    put_theirs(client, *theirs[STRETCH + 10 :])
    put_ours(client, third)

    assert sorted(take(broker, 3)) == sorted(ids([first, second, third]))

    assert client.lrange(LIST, 0, -1) == [name.encode() for name in theirs]
    assert client.hlen(PAYLOADS) == len(theirs)
    told = [record for record in caplog.records if "are left alone" in record.getMessage()]
    assert len(told) == 1
    assert vars(told[0])["messages"] == len(theirs) + 3
    assert "REDIS_NAMESPACE=" in told[0].getMessage()


def test_ours_are_published_before_all_of_theirs(
    client: redis.Redis, broker: JobBroker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Strangers, "met", lambda _: False)  # nobody looks for ours
    put_theirs(client, *[str(uuid4()) for _ in range(STRETCH)])
    ours = claims(5)

    publisher.publish(ours[:3])
    assert take(broker, 3) == ids(ours[:3])
    publisher.push_again(ours[3:])
    assert take(broker, 2) == ids(ours[3:])


def test_a_walk_that_finds_nothing_is_followed_by_ever_longer_rests() -> None:
    walks: list[int] = []

    def sift(queue: str, start: int, length: int) -> tuple[int, int, int, str]:
        walks.append(start)
        return 5, 5, 0, "theirs"

    strangers = Strangers("coding", sift)
    rests = []
    for _ in range(200):
        strangers.next_at = 0.0
        strangers.met()
        rests.append(strangers.next_at - time.monotonic())

    assert max(rests[100:]) > 5
    assert max(rests) < 16
    assert not strangers.met(), "it rests"
    assert len(walks) == 200


def test_an_unreadable_message_under_an_id_of_ours_is_put_aside_for_good(
    client: redis.Redis, broker: JobBroker
) -> None:
    class Refusing(OursOnly):
        def open(self, data: bytes, queue_name: str, redis_id: str) -> list[JobMessage]:
            raise BadMessageError("undecodable")

    broker.intake = Refusing()
    (claim,) = claims(1)
    name, payload = seal([claim])
    put_ours(client, claim)
    put_theirs(client, f"{UUID}:1")
    take(broker, 0)
    assert client.hgetall(f"{LIST}.XQ.msgs") == {name.encode(): payload.encode(), f"{UUID}:1".encode(): b"theirs"}

    client.zadd(f"{LIST}.XQ", {name: 1, f"{UUID}:1": 1, "theirs": 1})
    client.hset(f"{LIST}.XQ.msgs", "theirs", "theirs")
    Housekeeping(client, broker.names, "coding").tidy()

    assert sorted(client.hkeys(f"{LIST}.XQ.msgs")) == sorted([f"{UUID}:1".encode(), b"theirs"])
    assert sorted(client.zrange(f"{LIST}.XQ", 0, -1)) == sorted([f"{UUID}:1".encode(), b"theirs"])


def test_old_dead_letters_of_ours_are_forgotten_behind_any_number_of_theirs(
    client: redis.Redis, broker: JobBroker
) -> None:
    client.zadd(f"{LIST}.XQ", {f"theirs-{n}": 1 for n in range(250)})
    name, payload = seal(claims(1))
    client.zadd(f"{LIST}.XQ", {name: 2})
    client.hset(f"{LIST}.XQ.msgs", name, payload)
    housekeeping = Housekeeping(client, broker.names, "coding")

    for _ in range(3):
        housekeeping.tidy()

    assert client.zcard(f"{LIST}.XQ") == 250
    assert not client.exists(f"{LIST}.XQ.msgs")


def test_another_applications_dead_worker_is_not_ours_to_clean_up(client: redis.Redis, broker: JobBroker) -> None:
    client.zadd("mobvibe:__heartbeats__", {"their-broker": 1, f"{WORKER_PREFIX}dead": 1})
    for worker in ("their-broker", f"{WORKER_PREFIX}dead"):
        client.sadd(f"mobvibe:__acks__.{worker}.coding", f"{UUID}:1", "theirs")
    client.hset(PAYLOADS, mapping={f"{UUID}:1": "x", "theirs": "x"})

    Housekeeping(client, broker.names, "coding").tidy()

    assert client.smembers("mobvibe:__acks__.their-broker.coding") == {f"{UUID}:1".encode(), b"theirs"}
    assert not client.exists(f"mobvibe:__acks__.{WORKER_PREFIX}dead.coding")
    assert client.zrange("mobvibe:__heartbeats__", 0, -1) == [b"their-broker"]


def test_the_namespace_of_another_database_is_left_alone(client: redis.Redis, broker: JobBroker) -> None:
    mine, other = DatabaseMark(client, "mobvibe"), DatabaseMark(client, "mobvibe")
    mine.take(ALPHA)
    publisher = Publisher(client, "mobvibe", mine)
    ours = claims(2)
    publisher.publish(ours)
    before = client.lrange(LIST, 0, -1), client.hgetall(PAYLOADS)

    with pytest.raises(NamespaceTakenError, match=r"'mobvibe' belongs to the database 'alpha'.*'beta'.*DEL mobvibe:__"):
        other.take(BETA)
    for call in (Publisher(client, "mobvibe", other).publish, Publisher(client, "mobvibe", other).push_again):
        with pytest.raises(NamespaceTakenError, match="alpha"):
            call(claims(2))
    broker.mark.text = BETA
    with pytest.raises(NamespaceTakenError, match="alpha"):
        broker.exchange("coding", 10, [])

    assert (client.lrange(LIST, 0, -1), client.hgetall(PAYLOADS)) == before
    assert not client.exists("mobvibe:__heartbeats__")


@pytest.mark.parametrize("first", ["a bridge", "a worker"])
def test_the_mark_is_set_again_by_whoever_speaks_first_when_redis_was_emptied(
    client: redis.Redis, broker: JobBroker, publisher: Publisher, first: str
) -> None:
    publisher.mark.take(ALPHA)
    broker.mark.take(ALPHA)
    client.flushall()

    if first == "a bridge":
        publisher.publish(claims(1))
    else:
        broker.exchange("coding", 1, [])

    with pytest.raises(NamespaceTakenError):
        DatabaseMark(client, "mobvibe").take(BETA)


@pytest.mark.parametrize("name", ["__road__", "coding.msgs", "coding.XQ", "coding.DQ"])
def test_a_queue_that_would_collide_with_the_keys_of_another_is_refused(broker: JobBroker, name: str) -> None:
    with pytest.raises(SettingsError, match="would collide"):
        broker.declare_queue(name)


def test_channels_of_two_numbers_of_one_redis_are_apart() -> None:
    def names(number: int) -> Any:
        return JobBroker(fakeredis.FakeRedis(db=number), middleware=[]).names

    assert (names(0).wake, names(0).freed) == ("mobvibe:__wake__", "mobvibe:__freed__")
    assert (names(3).wake, names(3).freed) == ("mobvibe:__wake__.3", "mobvibe:__freed__.3")

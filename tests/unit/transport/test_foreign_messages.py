"""Messages of other applications in our queues: left where they are, unchanged, however many there are."""

import time
from collections.abc import Sequence
from uuid import uuid4

import pytest
import redis

from bridge.errors import BadMessageError
from bridge.job import Claim
from bridge.transport.consumer import JobConsumer
from bridge.transport.foreign_messages import PART, ForeignMessages
from bridge.transport.housekeeping import Housekeeping
from bridge.transport.intake import PlainIntake, PlainMessage
from bridge.transport.job_broker import JobBroker
from bridge.transport.messages import seal
from bridge.transport.names import WORKER_PREFIX
from bridge.transport.publisher import Publisher
from bridge.transport.slots import Room
from tests.support.consuming import claims
from tests.support.waiting import eventually

LIST, PAYLOADS = "mobvibe:coding", "mobvibe:coding.msgs"


class OursOnly(PlainIntake):
    takes_any = False


@pytest.fixture
def broker(broker: JobBroker) -> JobBroker:
    broker.intake = OursOnly()
    return broker


def put_theirs(client: redis.Redis, *names: str | bytes) -> None:
    client.hset(PAYLOADS, mapping=dict.fromkeys(names, "theirs"))
    client.rpush(LIST, *names)


def put_ours(client: redis.Redis, *ours: Claim) -> None:
    """Put ours at the end, as a bridge of an older version or another application's housekeeping does."""
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
def test_a_message_whose_id_is_not_ours_is_left_alone(
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
def test_a_message_whose_id_looks_like_ours_is_taken(client: redis.Redis, broker: JobBroker, mark: str) -> None:
    put_theirs(client, f"{UUID}:{2**63 - 1}{mark}")

    others_first, _, *taken = broker.exchange("coding", Room(1), [])

    assert (others_first, taken) == (0, [f"{UUID}:{2**63 - 1}{mark}".encode(), b"theirs", 0])


def test_ours_are_found_behind_any_number_of_theirs_and_theirs_keep_their_order(
    client: redis.Redis, broker: JobBroker, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = [str(uuid4()) for _ in range(3 * PART)]
    first, second, third = claims(3)
    put_theirs(client, *theirs[:PART])
    put_ours(client, first)
    put_theirs(client, *theirs[PART : PART + 10])
    put_ours(client, second)
    put_theirs(client, *theirs[PART + 10 :])
    put_ours(client, third)

    assert sorted(take(broker, 3)) == sorted(ids([first, second, third]))

    assert client.lrange(LIST, 0, -1) == [name.encode() for name in theirs]
    assert client.hlen(PAYLOADS) == len(theirs)
    logged = [record for record in caplog.records if "are left alone" in record.getMessage()]
    assert len(logged) == 1
    assert vars(logged[0])["messages"] == len(theirs) + 3
    assert "REDIS_NAMESPACE=" in logged[0].getMessage()


def test_ours_are_published_before_all_of_theirs(
    client: redis.Redis, broker: JobBroker, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ForeignMessages, "search", lambda _: False)  # turns off the search for ours
    put_theirs(client, *[str(uuid4()) for _ in range(PART)])
    ours = claims(5)

    publisher.publish(ours[:3])
    assert take(broker, 3) == ids(ours[:3])
    publisher.push_again(ours[3:])
    assert take(broker, 2) == ids(ours[3:])


def test_searches_that_find_nothing_are_followed_by_longer_and_longer_rests() -> None:
    walks: list[int] = []

    def search(queue: str, start: int, length: int) -> tuple[int, int, int, str]:
        walks.append(start)
        return 5, 5, 0, "theirs"

    foreign = ForeignMessages("coding", search)
    rests = []
    for _ in range(200):
        foreign.next_at = 0.0
        foreign.search()
        rests.append(foreign.next_at - time.monotonic())

    assert max(rests[100:]) > 5
    assert max(rests) < 16
    assert not foreign.search(), "it does not search during the rest"
    assert len(walks) == 200


def test_an_unreadable_message_under_an_id_of_ours_stays_dead_lettered(client: redis.Redis, broker: JobBroker) -> None:
    class Refusing(OursOnly):
        def open(self, data: bytes, queue_name: str, redis_id: str) -> list[PlainMessage]:
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

"""An address that leads to the wrong server, or to the right one in the wrong way: one line each, and what to do."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from bridge.cli.doctor_redis import examine_redis
from bridge.cli.finding import Finding
from bridge.dev.embedded.server import pick_port
from bridge.errors import RedisRefusedError, RedisUnavailableError, RedisUnfitError
from bridge.settings import Settings
from bridge.transport.client import connect_redis
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.publisher import Publisher
from bridge.transport.server_check import check_road, check_server
from bridge.transport.wakeups import WakeUps
from tests.support import redis_servers
from tests.support.commands import mobvibe
from tests.support.rows import Rows
from tests.support.waiting import eventually

Open = Callable[..., int]
CLUSTER = "it is a node of a Redis Cluster, which is not supported"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def plain(stack: ExitStack, tmp_path: Path) -> Open:
    """Starts a server with these lines in its configuration; its port."""

    def start(*lines: str, sentinel: bool = False) -> int:
        return stack.enter_context(redis_servers.server(tmp_path / "redis", *lines, sentinel=sentinel))

    return start


def refusal(url: str) -> RedisUnavailableError:
    """What `run`, `worker` and the doctor say of it."""
    client = connect_redis(url, timeout_seconds=2.0)
    with client, pytest.raises(RedisUnavailableError) as caught:
        check_road(client, "mobvibe", DatabaseMark(client, "mobvibe"), "id name")
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def look(settings: Settings, url: str) -> list[Finding]:
    return list(examine_redis(settings.model_copy(update={"redis_url": SecretStr(url)})))


def test_a_sentinel(plain: Open) -> None:
    port = plain(sentinel=True)

    for url in (f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}/1"):
        error = refusal(url)
        assert isinstance(error, RedisUnfitError)
        assert "Sentinel" in str(error)


def test_a_node_of_a_cluster(plain: Open) -> None:
    port = plain("cluster-enabled yes")

    assert isinstance(error := refusal(f"redis://127.0.0.1:{port}/0"), RedisUnfitError)
    assert CLUSTER in str(error)


def test_a_replica(plain: Open) -> None:
    port = plain("replicaof 127.0.0.1 9")

    assert type(error := refusal(f"redis://127.0.0.1:{port}/0")) is RedisUnavailableError, "it may become the primary"
    assert "it is a replica" in str(error)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "it wants a password"),
        (":geheim-falsch@", "it does not know this user and password"),
        ("nobody:geheim@", "it does not know this user and password"),
    ],
)
def test_a_password_that_is_missing_or_wrong(plain: Open, given: str, said: str) -> None:
    port = plain("requirepass geheim")

    assert isinstance(error := refusal(f"redis://{given}127.0.0.1:{port}/0"), RedisRefusedError)
    assert said in str(error)


def test_a_password_too_many(plain: Open) -> None:
    port = plain()

    error = refusal(f"redis://somebody:geheim@127.0.0.1:{port}/0")

    assert isinstance(error, RedisRefusedError)
    assert "REDIS_URL" in str(error)


def test_a_database_that_is_not_there(plain: Open) -> None:
    port = plain("databases 2")

    assert isinstance(error := refusal(f"redis://127.0.0.1:{port}/2"), RedisUnfitError)
    assert "no database of the number in REDIS_URL" in str(error)


def test_a_full_memory(plain: Open) -> None:
    port = plain("maxmemory 1", "maxmemory-policy noeviction")

    assert type(error := refusal(f"redis://127.0.0.1:{port}/0")) is RedisUnavailableError
    assert "its memory is full (maxmemory)" in str(error)


def test_tls_and_none_of_it(plain: Open, stack: ExitStack, tmp_path: Path) -> None:
    port = plain()
    made, key = redis_servers.certificate(tmp_path)
    secure = stack.enter_context(redis_servers.tls_before(port, made, key))

    for url, said in {
        f"redis://127.0.0.1:{secure}/0": "it speaks TLS on this port: write rediss://",
        f"rediss://127.0.0.1:{port}/0": "it speaks no TLS on this port: write redis://",
        f"rediss://127.0.0.1:{secure}/0": "ssl_ca_certs=",
    }.items():
        assert isinstance(error := refusal(url), RedisUnfitError), error
        assert said in str(error)
    with connect_redis(f"rediss://127.0.0.1:{secure}/0?ssl_ca_certs={made}") as client:
        check_server(client)


def test_a_certificate_for_another_name(plain: Open, stack: ExitStack, tmp_path: Path) -> None:
    port = plain()
    made, key = redis_servers.certificate(tmp_path, "elsewhere.example")
    secure = stack.enter_context(redis_servers.tls_before(port, made, key))

    error = refusal(f"rediss://localhost:{secure}/0?ssl_ca_certs={made}")

    assert isinstance(error, RedisUnfitError)
    assert "its certificate is for another name" in str(error)


def test_a_web_server(stack: ExitStack) -> None:
    port = stack.enter_context(redis_servers.web_server())

    assert isinstance(error := refusal(f"redis://127.0.0.1:{port}/0"), RedisUnfitError)
    assert "what answers there speaks HTTP" in str(error)


def test_postgres(dsn: str) -> None:
    assert isinstance(error := refusal(f"redis://127.0.0.1:{urlsplit(dsn).port}/0"), RedisUnfitError)
    assert "what answers there is Postgres" in str(error)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("EVALSHA", "EVALSHA (every hand-over is a script)"),
        ("SCRIPT", "SCRIPT LOAD (every hand-over is a script)"),
        ("PUBLISH", "PUBLISH (it wakes the workers)"),
        ("SET", "SET (for queues)"),
        ("ZADD", "ZADD (for queues)"),
    ],
)
def test_a_needed_command_that_is_renamed(plain: Open, settings: Settings, command: str, said: str) -> None:
    url = f"redis://127.0.0.1:{plain(f'rename-command {command} hidden')}/0"

    assert isinstance(error := refusal(url), RedisUnfitError), error
    assert f"it does not know {said}: take its rename-command out" in str(error)
    (found,) = [one for one in look(settings, url) if one.state == "fail"]
    assert (found.check, found.found) == ("redis rights", f"the server does not know {said}")


def test_nothing_is_claimed_for_a_server_that_came_back_without_a_command(plain: Open) -> None:
    url = f"redis://127.0.0.1:{plain('rename-command EVALSHA hidden')}/0"

    with connect_redis(url) as client, pytest.raises(RedisUnfitError, match="EVALSHA"):
        Publisher(client, "mobvibe").check()  # which the dispatcher asks after a failure, before it claims


def test_what_can_be_done_without_may_be_renamed(plain: Open, settings: Settings) -> None:
    renamed = ("CONFIG", "INFO", "CLIENT", "KEYS", "FLUSHALL", "FLUSHDB")
    url = f"redis://127.0.0.1:{plain(*(f'rename-command {name} {chr(34) * 2}' for name in renamed))}/0"

    with connect_redis(url) as client:
        check_road(client, "mobvibe", DatabaseMark(client, "mobvibe"), "id name")

    warned = [one.found for one in look(settings, url) if one.check == "redis" and one.state == "warn"]
    assert warned == ["its version and role may not be asked for (INFO)", "its memory policy may not be asked for"]


def test_without_subscribe_it_polls_and_says_so_once(
    plain: Open, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis://127.0.0.1:{plain('rename-command SUBSCRIBE hidden')}/0"

    with connect_redis(url) as client:
        check_road(client, "mobvibe", DatabaseMark(client, "mobvibe"), "id name")
        tries = Mock(wraps=client.pubsub)
        client.pubsub = tries
        wakeups = WakeUps(client, "mobvibe:__wake__", lambda _: None)
        wakeups.start()
        eventually(lambda: tries.call_count > 3)
        wakeups.close()

    assert [record.message for record in caplog.records] == ["Wake-ups cannot be heard, polling instead"]
    (found,) = [one for one in look(settings, url) if one.check == "redis rights"]
    assert (found.state, "SUBSCRIBE" in found.found) == ("warn", True)


def test_nobody() -> None:
    assert type(error := refusal("redis://127.0.0.1:9/0")) is RedisUnavailableError
    assert "refused" in str(error)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"-DENIED Redis is running in protected mode because ...\r\n", RedisRefusedError, "protected mode"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", RedisUnavailableError, "still loading"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", RedisUnfitError, CLUSTER),
        (b"-ERR unknown command 'HELLO'\r\n", RedisUnfitError, "older than Redis 6.2"),
        (b"-ERR max number of clients reached\r\n", RedisUnavailableError, "max number of clients"),
    ],
)
def test_servers_that_cannot_be_made_to_say_it_here(
    stack: ExitStack, answer: bytes, kind: type[RedisUnavailableError], said: str
) -> None:
    port = stack.enter_context(redis_servers.says(answer))

    assert type(error := refusal(f"redis://127.0.0.1:{port}/0")) is kind, error
    assert said in str(error)


def test_an_old_server_is_too_old(plain: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_redis(f"redis://127.0.0.1:{plain()}/0") as client:
        monkeypatch.setattr(client, "info", lambda: {"redis_version": "6.0.16", "redis_mode": "standalone"})

        with pytest.raises(RedisUnfitError, match=r"it is Redis 6\.0\.16: use 6\.2 or later"):
            check_server(client)


@pytest.mark.parametrize("command", ["run", "worker", "web"])
def test_each_process_says_it_in_one_line_and_leaves(plain: Open, dsn: str, tmp_path: Path, command: str) -> None:
    (tmp_path / "topic.py").write_text("from bridge.broker import connect_broker\nconnect_broker()\n")
    port = plain(sentinel=True)

    said = mobvibe(
        command, cwd=tmp_path, DATABASE_URL=dsn, REDIS_URL=f"redis://127.0.0.1:{port}/0", ACTORS_MODULE="topic",
        LOG_FORMAT="json", HEALTH_CHECK_PORT=str(pick_port()), SUPABASE_JWT_SECRET="s" * 40,
    )  # fmt: skip

    assert said.code == 1, said.err
    assert "it is a Sentinel" in said.err
    assert "Traceback" not in said.err


def test_the_doctor_says_it_too(plain: Open, settings: Settings) -> None:
    port = plain(sentinel=True)

    (found,) = examine_redis(settings.model_copy(update={"redis_url": SecretStr(f"redis://127.0.0.1:{port}/0")}))

    assert found.state == "fail"
    assert f"127.0.0.1:{port}: it is a Sentinel" in found.found


def test_the_doctor_finds_others_in_the_namespace(settings: Settings, rows: Rows, redis_url: str) -> None:
    rows.add_job(queue="coding")
    with connect_redis(redis_url) as client:
        client.rpush("mobvibe:coding", "theirs", "6f1c2d3e-aaaa-4bbb-8ccc-1234567890ab:1")
        client.zadd("mobvibe:__heartbeats__", {"theirs": 32503680000000, "mobvibe-ours": 32503680000000})
        client.set("mobvibe:__database__", "1 elsewhere")

    findings = list(examine_redis(settings))

    (whose,) = [found for found in findings if found.check == "redis namespace"]
    assert (whose.state, "'elsewhere'" in whose.found, "DEL mobvibe:__database__" in whose.fix) == ("fail", True, True)
    others = [found for found in findings if found.check == "redis others"]
    assert [found.found for found in others] == [
        "1 messages of another application wait in queue 'coding'",
        "1 other Dramatiq processes, or workers of an older version, use the namespace 'mobvibe'",
    ]
    assert all("REDIS_NAMESPACE=" in found.fix for found in others)

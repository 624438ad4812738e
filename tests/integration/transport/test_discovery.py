"""Real Sentinels: an address that they cannot serve is refused in one line."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.dev.embedded.server import HOST
from bridge.errors import RedisAccessError, RedisUnavailableError, RedisUnfitError
from bridge.transport.client import check_redis, connect_redis, discovery_of
from tests.support.redis_groups import PASSWORD, SERVICE, Watched, watched
from tests.support.redis_servers import refusal
from tests.support.waiting import eventually

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "redis-high-availability.md"


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("watched"), agree=False) as group:
        yield group


def test_the_primary_is_found_though_some_sentinels_are_away(group: Watched) -> None:
    with connect_redis(group.url.replace(f"@{HOST}", f"@{HOST}:9,{HOST}")) as client:
        check_redis(client)

        discovery = discovery_of(client)
        assert discovery is not None
        assert discovery.address == (HOST, group.primary())


def test_an_unknown_name_is_refused_with_those_that_are_known(group: Watched) -> None:
    error = refusal(group.url.replace(SERVICE, "elsewhere"))

    assert isinstance(error, RedisUnfitError)
    assert f"it watches no primary named 'elsewhere', but {SERVICE}" in str(error)


def test_the_password_of_the_servers_is_not_the_sentinels(group: Watched) -> None:
    error = refusal(group.url.replace(PASSWORD, "geheim-falsch"))

    assert isinstance(error, RedisAccessError)
    assert "it does not know this user and password" in str(error)


def test_sentinels_with_a_password_of_their_own(group: Watched) -> None:
    address = group.url.replace(",".join(f"{HOST}:{port}" for port in group.sentinels), f"{HOST}:{group.sentinels[0]}")
    rule = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("ACL SETUSER"))
    group.ask(group.sentinels[0], *rule.replace("PASSWORD", "geheim").split(), password=None)
    group.ask(group.sentinels[0], "ACL", "SETUSER", "default", "off", password=None)

    assert "sentinel_password=" in str(refusal(address))
    assert isinstance(refusal(f"{address}?sentinel_username=watcher&sentinel_password=geheim-falsch"), RedisAccessError)
    with connect_redis(f"{address}?sentinel_username=watcher&sentinel_password=geheim") as client:
        check_redis(client)


def test_a_server_is_no_sentinel(group: Watched) -> None:
    server = f"{HOST}:{group.servers[0]}"

    error = refusal(f"redis+sentinel://:{PASSWORD}@{server}/{SERVICE}?sentinel_password={PASSWORD}")

    assert isinstance(error, RedisUnfitError)
    assert "it is no Sentinel" in str(error)


def test_sentinels_that_do_not_answer_are_an_outage() -> None:
    error = refusal(f"redis+sentinel://{HOST}:9,{HOST}:10/{SERVICE}")

    assert type(error) is RedisUnavailableError
    assert str(error).startswith(f"no Sentinel names the primary ({HOST}:9: ")


def test_what_does_not_answer_as_a_sentinel_is_an_outage() -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            while asked := connection.recv(4096):
                said = b"*1\r\n:1" if b"MASTERS" in asked else b"+PONG" if b"PING" in asked else b"+OK"
                connection.sendall((said + b"\r\n") * (asked.count(b"\n*") + 1))

    with socket.create_server((HOST, 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        error = refusal(f"redis+sentinel://{HOST}:{server.getsockname()[1]}/{SERVICE}")

    assert type(error) is RedisUnavailableError
    assert "it does not answer as a Sentinel" in str(error)


def test_a_primary_that_is_down_is_not_waited_for(group: Watched) -> None:
    for port in group.servers:
        group.kill(port)

    eventually(lambda: "it sees the primary down" in str(refusal(group.url)), seconds=20)

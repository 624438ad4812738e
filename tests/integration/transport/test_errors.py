"""Errors of a Redis server or its driver, translated: what is wrong, and what to do."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.errors import RedisAccessError, RedisUnavailableError, RedisUnfitError
from tests.support import redis_servers
from tests.support.redis_servers import Open, refusal

CLUSTER = "it is a node of a Redis Cluster: write redis+cluster://"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "it wants a password"),
        (":geheim-falsch@", "it does not know this user and password"),
        ("nobody:geheim@", "it does not know this user and password"),
    ],
)
def test_a_missing_or_wrong_password_is_named(plain: Open, given: str, expected: str) -> None:
    port = plain("requirepass geheim")

    assert isinstance(error := refusal(f"redis://{given}127.0.0.1:{port}/0"), RedisAccessError)
    assert expected in str(error)


def test_an_unneeded_password_is_named(plain: Open) -> None:
    port = plain()

    error = refusal(f"redis://somebody:geheim@127.0.0.1:{port}/0")

    assert isinstance(error, RedisAccessError)
    assert "REDIS_URL" in str(error)


def test_a_missing_database_number_is_named(plain: Open) -> None:
    port = plain("databases 2")

    assert isinstance(error := refusal(f"redis://127.0.0.1:{port}/2"), RedisUnfitError)
    assert "no database of the number in REDIS_URL" in str(error)


def test_a_full_memory_is_named(plain: Open) -> None:
    port = plain("maxmemory 1", "maxmemory-policy noeviction")

    assert type(error := refusal(f"redis://127.0.0.1:{port}/0")) is RedisUnavailableError
    assert "its memory is full (maxmemory)" in str(error)


def test_a_certificate_for_another_host_is_named(plain: Open, stack: ExitStack, tmp_path: Path) -> None:
    port = plain()
    made, key = redis_servers.certificate(tmp_path, "elsewhere.example")
    secure = stack.enter_context(redis_servers.tls_before(port, made, key))

    error = refusal(f"rediss://localhost:{secure}/0?ssl_ca_certs={made}")

    assert isinstance(error, RedisUnfitError)
    assert "its certificate is for another name" in str(error)


def test_a_closed_port_is_named() -> None:
    assert type(error := refusal("redis://127.0.0.1:9/0")) is RedisUnavailableError
    assert "refused" in str(error)


@pytest.mark.parametrize(
    ("answer", "kind", "expected"),
    [
        (b"-DENIED Redis is running in protected mode because ...\r\n", RedisAccessError, "protected mode"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", RedisUnavailableError, "still loading"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", RedisUnfitError, CLUSTER),
        (b"-ERR unknown command 'HELLO'\r\n", RedisUnfitError, "older than Redis 6.2"),
        (b"-ERR max number of clients reached\r\n", RedisUnavailableError, "max number of clients"),
    ],
)
def test_answers_of_servers_that_the_tests_cannot_run_are_recognised(
    stack: ExitStack, answer: bytes, kind: type[RedisUnavailableError], expected: str
) -> None:
    port = stack.enter_context(redis_servers.says(answer))

    assert type(error := refusal(f"redis://127.0.0.1:{port}/0")) is kind, error
    assert expected in str(error)

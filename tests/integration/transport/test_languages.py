"""An address at which another kind of server answers: the error names that kind."""

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from bridge.errors import RedisUnfitError
from bridge.transport.client import connect_redis
from bridge.transport.server_check import check_server
from tests.support import redis_servers
from tests.support.redis_servers import Open, refusal


def test_tls_on_one_side_only(plain: Open, stack: ExitStack, tmp_path: Path) -> None:
    port = plain()
    made, key = redis_servers.certificate(tmp_path)
    secure = stack.enter_context(redis_servers.tls_before(port, made, key))

    for url, expected in {
        f"redis://127.0.0.1:{secure}/0": "it speaks TLS on this port: write rediss://",
        f"rediss://127.0.0.1:{port}/0": "it speaks no TLS on this port: write redis://",
        f"rediss://127.0.0.1:{secure}/0": "ssl_ca_certs=",
    }.items():
        assert isinstance(error := refusal(url), RedisUnfitError), error
        assert expected in str(error)
    with connect_redis(f"rediss://127.0.0.1:{secure}/0?ssl_ca_certs={made}") as client:
        check_server(client)


def test_a_web_server_is_named(stack: ExitStack) -> None:
    port = stack.enter_context(redis_servers.web_server())

    assert isinstance(error := refusal(f"redis://127.0.0.1:{port}/0"), RedisUnfitError)
    assert "what answers there speaks HTTP" in str(error)


def test_postgres_is_named(dsn: str) -> None:
    assert isinstance(error := refusal(f"redis://127.0.0.1:{urlsplit(dsn).port}/0"), RedisUnfitError)
    assert "what answers there is Postgres" in str(error)

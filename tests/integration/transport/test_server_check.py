"""An address of a wrong server, or a wrong address of the right one: one line for each, with what to do."""

from pathlib import Path

import pytest

from bridge.dev.embedded.server import pick_port
from bridge.errors import RedisUnavailableError, RedisUnfitError
from bridge.transport.client import connect_redis
from bridge.transport.server_check import check_server
from tests.support.commands import mobvibe
from tests.support.redis_servers import Open, refusal

CLUSTER = "it is a node of a Redis Cluster: write redis+cluster://"


def test_a_sentinel_is_refused(plain: Open) -> None:
    port = plain(sentinel=True)

    for url in (f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}/1"):
        error = refusal(url)
        assert isinstance(error, RedisUnfitError)
        assert "Sentinel" in str(error)


def test_a_node_of_a_cluster_is_refused(plain: Open) -> None:
    port = plain("cluster-enabled yes")

    assert isinstance(error := refusal(f"redis://127.0.0.1:{port}/0"), RedisUnfitError)
    assert CLUSTER in str(error)


def test_an_address_of_ipv6_works(plain: Open) -> None:
    with connect_redis(f"redis://[::1]:{plain('bind 127.0.0.1 ::1')}/0") as client:
        check_server(client)


def test_a_replica_is_refused(plain: Open) -> None:
    port = plain("replicaof 127.0.0.1 9")

    assert type(error := refusal(f"redis://127.0.0.1:{port}/0")) is RedisUnavailableError, "it may become the primary"
    assert "it is a replica" in str(error)


def test_a_server_that_is_too_old_is_refused(plain: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_redis(f"redis://127.0.0.1:{plain()}/0") as client:
        monkeypatch.setattr(client, "info", lambda: {"redis_version": "6.0.16", "redis_mode": "standalone"})

        with pytest.raises(RedisUnfitError, match=r"it is Redis 6\.0\.16: use 6\.2 or later"):
            check_server(client)


@pytest.mark.parametrize("command", ["run", "worker", "web"])
def test_each_process_names_the_server_in_one_line_and_ends(
    plain: Open, dsn: str, tmp_path: Path, command: str
) -> None:
    (tmp_path / "topic.py").write_text("from bridge.broker import connect_broker\nconnect_broker()\n")
    port = plain(sentinel=True)

    result = mobvibe(
        command, cwd=tmp_path, DATABASE_URL=dsn, REDIS_URL=f"redis://127.0.0.1:{port}/0", ACTORS_MODULE="topic",
        LOG_FORMAT="json", HEALTH_CHECK_PORT=str(pick_port()), SUPABASE_JWT_SECRET="s" * 40,
    )  # fmt: skip

    assert result.code == 1, result.err
    assert "it is a Sentinel" in result.err
    assert "Traceback" not in result.err

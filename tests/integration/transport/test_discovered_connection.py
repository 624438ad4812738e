"""Clients follow the primary: of Sentinels, and of a cluster."""

import signal
from collections.abc import Iterator
from threading import Event

import pytest
import redis

from bridge.dev.embedded.server import HOST
from bridge.errors import RedisUnavailableError
from bridge.transport.client import Client, connect_redis, discovery_of, translate_redis_errors
from bridge.transport.epoch import RedisEpoch
from bridge.transport.server_check import check_server
from bridge.transport.wakeups import WakeUps
from tests.support.failovers import KINDS
from tests.support.redis_groups import Cluster, Watched, cluster, watched
from tests.support.waiting import eventually

TAG = "{mobvibe}"
KEY = f"{TAG}:x"


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("watched"), down_after_ms=500) as group:
        yield group


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), replicas=True) as nodes:
        yield nodes


def works(client: Client) -> bool:
    try:
        with translate_redis_errors():
            return bool(client.set(KEY, "1"))
    except RedisUnavailableError as error:
        if not error.waiting_helps:
            raise
        return False


def server_of(client: Client) -> int:
    discovery = discovery_of(client)
    assert discovery is not None
    assert discovery.address is not None
    return discovery.address[1]


def test_a_killed_primary_is_left_for_the_next_which_counts_as_a_loss(group: Watched) -> None:
    with connect_redis(group.url) as client:
        epoch = RedisEpoch(client, "mobvibe")
        assert not epoch.has_changed()
        eventually(lambda: group.ask(group.servers[1], "EXISTS", "mobvibe:__road__") or True)
        old = group.primary()

        group.kill(old)

        eventually(lambda: works(client), seconds=20, what="the next primary")
        assert server_of(client) == group.primary() != old
        assert (epoch.has_changed(), epoch.has_changed()) == (True, False)
        group.start_again(old)


def test_a_primary_that_was_demoted_is_left_by_connections_that_still_work(group: Watched) -> None:
    group.settle()
    old = group.primary()
    with connect_redis(f"{group.url}?max_connections=2") as client:
        assert works(client)
        assert server_of(client) == old

        KINDS["demote"](group)

        assert works(client) or works(client), "the first call may hear that it is a replica"
        assert server_of(client) == group.primary() != old


def test_a_check_that_met_a_replica_asks_another_sentinel(group: Watched) -> None:
    group.settle()
    (replica,) = [port for port in group.servers if port != group.primary()]
    with connect_redis(group.url) as client:
        discovery = discovery_of(client)
        assert discovery is not None
        late, ask = group.sentinels[0], discovery._ask

        def one_is_late(seed: Client) -> tuple[str, int]:
            return (HOST, replica) if seed.connection_pool.connection_kwargs["port"] == late else ask(seed)

        discovery._ask = one_is_late
        with pytest.raises(RedisUnavailableError, match="is a replica and takes no writes: is a failover under way"):
            check_server(client)

        assert check_server(client)["role"] == "master"


def test_an_answer_of_the_old_primary_that_comes_after_the_change_counts_as_lost(group: Watched) -> None:
    with connect_redis(group.url) as client:
        assert works(client)
        discovery = discovery_of(client)
        assert discovery is not None
        connection = client.connection_pool.get_connection()
        connection.send_command("SET", KEY, "2")

        discovery.generation += 1  # another connection was told of another primary

        with pytest.raises(redis.ConnectionError, match="was the primary when this was sent"):
            connection.read_response()
        client.connection_pool.release(connection)
        assert works(client)


def test_an_idle_connection_to_the_old_primary_is_not_used_again(group: Watched) -> None:
    with connect_redis(group.url) as client:
        assert works(client)
        discovery = discovery_of(client)
        assert discovery is not None
        number = client.client_id()

        discovery.generation += 1

        assert client.client_id() != number


def test_a_subscription_moves_to_the_next_primary(group: Watched) -> None:
    with connect_redis(group.url) as client:
        heard = Event()
        wakeups = WakeUps(client, "mobvibe:__wake__", lambda text: heard.set() if text == "tests" else None)
        wakeups.start()
        assert wakeups.subscribed.wait(10)
        old = group.primary()

        group.signal(old, signal.SIGSTOP)
        group.wait_for_another_primary(old)

        def is_heard() -> bool:
            group.ask(group.primary(), "PUBLISH", "mobvibe:__wake__", "tests")
            return heard.wait(0.1)

        eventually(is_heard, seconds=30, what="a wake-up")
        group.signal(old, signal.SIGCONT)
        wakeups.close()


def test_a_primary_that_still_answers_is_left_before_it_is_told(group: Watched) -> None:
    group.settle()
    group.be_as_usual()
    with connect_redis(group.url) as client:
        wakeups = WakeUps(client, "mobvibe:__wake__", lambda _: None)
        wakeups.start()
        assert wakeups.subscribed.wait(10)
        assert works(client), "it has a connection for its other commands, too"
        old = group.primary()

        group.demote()
        group.wait_for_another_primary(old)

        eventually(lambda: server_of(client) != old, seconds=20)
        assert group.role(old) == "master", "it was not told yet"
        wakeups.close()


def test_any_node_of_a_cluster_leads_to_our_keys(nodes: Cluster) -> None:
    owner = nodes.owner(nodes.slot_of(KEY))
    for port in (*nodes.primaries, *nodes.replicas):
        address = nodes.url.partition("@")[0] + f"@{HOST}:{port}"
        with connect_redis(address, namespace=TAG) as client:
            assert works(client)
            assert server_of(client) == owner


def test_keys_that_move_to_another_node_are_followed(nodes: Cluster) -> None:
    slot = nodes.slot_of(KEY)
    old = nodes.owner(slot)
    new = next(port for port in nodes.primaries if port != old)
    with connect_redis(nodes.url, namespace=TAG) as client:
        epoch = RedisEpoch(client, TAG)
        assert works(client)
        assert not epoch.has_changed()

        nodes.ask(new, "CLUSTER", "SETSLOT", slot, "IMPORTING", nodes.id_of(old))
        nodes.ask(old, "CLUSTER", "SETSLOT", slot, "MIGRATING", nodes.id_of(new))
        with (
            pytest.raises(RedisUnavailableError, match="is handing our keys to another node"),
            translate_redis_errors(),
        ):
            client.get(f"{TAG}:nothing")
        nodes.move(slot, old, new)

        eventually(lambda: works(client), seconds=10)
        assert server_of(client) == new
        assert epoch.has_changed()


def test_a_dead_node_of_a_cluster_is_left_for_its_replica(nodes: Cluster) -> None:
    slot = nodes.slot_of(KEY)
    old = nodes.owner(slot)
    with connect_redis(nodes.url, namespace=TAG) as client:
        assert works(client)

        nodes.kill(old)

        eventually(lambda: works(client), seconds=30, what="its replica")
        assert server_of(client) in nodes.replicas
        nodes.start_again(old)

"""Jobs run over a real cluster, with the documented user only, and go on when the node with our keys dies."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from bridge.cli.doctor_redis import examine_redis
from bridge.dev.embedded.server import HOST
from bridge.errors import NamespaceTakenError
from bridge.settings import Settings
from bridge.transport.client import connect_redis
from bridge.transport.database_mark import DatabaseMark
from bridge.transport.rights import rule
from bridge.web.services import Services
from tests.support.fleet import Fleet
from tests.support.redis_groups import PASSWORD, Cluster, cluster
from tests.support.redis_servers import refusal
from tests.support.rows import Rows
from tests.support.waiting import eventually

TAG = "{jobs}"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "cluster", replicas=True) as nodes:
        for port in (*nodes.primaries, *nodes.replicas):
            nodes.ask(port, *rule(TAG).replace("PASSWORD", PASSWORD).split())
        yield nodes


@pytest.fixture
def ours(settings: Settings, nodes: Cluster) -> Settings:
    url = SecretStr(nodes.url.replace("//:", "//mobvibe:"))
    return settings.model_copy(update={"redis_url": url, "redis_namespace": TAG, "monitor_interval_ms": 1000})


def test_jobs_run_and_go_on_when_the_node_with_our_keys_dies(
    nodes: Cluster, ours: Settings, rows: Rows, new_fleet: Callable[..., Fleet]
) -> None:
    def add(jobs: int) -> list[UUID]:
        return [rows.add_job(actor="double", queue="tests", payload={"n": n}, priority=n % 3) for n in range(jobs)]

    fleet = new_fleet(**dict(ours))
    fleet.start_worker()
    fleet.start_bridge().check()
    before = add(20)
    eventually(lambda: {rows.status(job) for job in before} == {"completed"}, seconds=20)
    findings = list(examine_redis(fleet.settings))
    assert [one for one in findings if one.state == "fail"] == []
    assert "the connection is of the kind: Cluster" in [one.found for one in findings]
    assert Services(fleet.settings).readiness.get().checks["redis"] == "ok"
    owner = nodes.owner(nodes.slot_of(TAG))

    nodes.kill(owner)
    after = add(20)

    eventually(lambda: {rows.status(job) for job in after} == {"completed"}, seconds=30)
    fleet.stop()
    for port in {*nodes.primaries, *nodes.replicas} - {owner}:
        assert nodes.ask(port, "ACL", "LOG") == []


def test_every_key_of_ours_is_in_one_slot(
    nodes: Cluster, ours: Settings, rows: Rows, new_fleet: Callable[..., Fleet]
) -> None:
    fleet = new_fleet(**dict(ours)).start()
    job = rows.add_job(actor="double", queue="tests", payload={"n": 1})
    eventually(lambda: rows.status(job) == "completed", seconds=20)

    with connect_redis(nodes.url, namespace=TAG) as client, pytest.raises(NamespaceTakenError) as taken:
        DatabaseMark(client, TAG, "4711 elsewhere").compare()
    assert f"redis-cli -h {HOST} -p {nodes.owner(nodes.slot_of(TAG))} DEL {TAG}:__database__" in str(taken.value)
    keys = {port: nodes.ask(port, "KEYS", "*") for port in nodes.primaries}

    slots = {nodes.slot_of(key) for found in keys.values() for key in found}
    assert slots == {nodes.slot_of(TAG)}
    fleet.stop()


def test_a_single_server_is_no_cluster(redis_url: str) -> None:
    address = redis_url.replace("redis://", "redis+cluster://").removesuffix("/0")
    with connect_redis(address):
        assert "it is no cluster: write redis:// in REDIS_URL" in str(refusal(address))

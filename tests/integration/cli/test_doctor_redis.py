"""Findings of `mobvibe doctor` about Redis."""

from pydantic import SecretStr

from bridge.cli.doctor_redis import examine_redis
from bridge.settings import Settings
from bridge.transport.client import connect_redis
from tests.support.redis_servers import Open
from tests.support.rows import Rows


def test_the_doctor_reports_a_wrong_server(plain: Open, settings: Settings) -> None:
    port = plain(sentinel=True)

    (found,) = examine_redis(settings.model_copy(update={"redis_url": SecretStr(f"redis://127.0.0.1:{port}/0")}))

    assert found.state == "fail"
    assert f"127.0.0.1:{port}: it is a Sentinel" in found.found


def test_the_doctor_finds_other_applications_in_the_namespace(settings: Settings, rows: Rows, redis_url: str) -> None:
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

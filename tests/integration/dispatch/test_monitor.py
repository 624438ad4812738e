"""The statistics in Redis: what dashboards find there, and that it is bounded."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from bridge.dispatch import monitor
from bridge.dispatch.monitor import Monitor
from bridge.errors import RedisAccessError
from tests.support.failover_loop import patient_client
from tests.support.rows import Rows
from tests.support.steps import Steps

DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana-redis.json"


@pytest.fixture
def client(redis_url: str) -> "redis.Redis":
    return patient_client(redis_url, decode_responses=True)


def new_monitor(steps: Steps, client: "redis.Redis") -> Monitor:
    return Monitor(steps.queue, client, namespace="mobvibe", interval_seconds=1)


def test_each_key_and_field_of_the_dashboard_exists(steps: Steps, rows: Rows, client: "redis.Redis") -> None:
    rows.add_job()
    rows.add_job(status="completed")
    new_monitor(steps, client).step()
    samples: Any = client.xrange("mobvibe:__stats__.samples")
    found: dict[str, Any] = {
        "mobvibe:__stats__": client.hgetall("mobvibe:__stats__"),
        "mobvibe:__stats__.samples": samples[-1][1],
    }

    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            fields = found[target["keyName"]]
            assert fields
            for step in panel.get("transformations", []):
                named = step["options"].get("include", {}).get("names", [])
                assert set(named) <= set(fields), panel["title"]
    assert (samples[-1][1]["pending"], samples[-1][1]["completed"]) == ("1", "1")


def test_samples_are_bounded_and_expire(steps: Steps, client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "_SAMPLES_MOST", 100)
    one = new_monitor(steps, client)
    one.step()
    with client.pipeline() as many:
        for _ in range(1000):
            many.xadd("mobvibe:__stats__.samples", {"pending": 0})
        many.execute()
    one.step()

    assert client.xlen("mobvibe:__stats__.samples") <= 100 + 100, "in whole nodes, of a hundred"
    assert 0 < client.pttl("mobvibe:__stats__.samples") <= timedelta(days=1) / timedelta(milliseconds=1)


def test_a_user_without_the_right_to_samples_has_the_rest(
    steps: Steps, client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RedisAccessError("this user has no permissions to run the 'xadd' command")

    monkeypatch.setattr(client, "xadd", refuse)
    new_monitor(steps, client).step()

    assert client.hget("mobvibe:__stats__", "pending") == "0"

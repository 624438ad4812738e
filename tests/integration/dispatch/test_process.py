"""The bridge process at its start and its end."""

import json
import logging
from uuid import UUID

import psycopg
import pytest

from bridge.dispatch.process import BridgeProcess
from bridge.settings import Settings
from tests.support.failover_loop import patient_client
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'mobvibe %' AND wait_event_type = 'Lock'"


def test_a_redis_that_may_evict_messages_causes_a_warning_at_the_start(
    settings: Settings, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with patient_client(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            BridgeProcess(settings).check()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert [record.getMessage() for record in caplog.records] == [
        "Redis drops messages when its memory is full: maxmemory-policy is allkeys-lru, set it to noeviction"
    ]
    caplog.clear()

    BridgeProcess(settings).check()

    assert not caplog.records


def test_a_notification_wakes_the_dispatcher_before_its_line_is_written(settings: Settings) -> None:
    bridge = BridgeProcess(settings)
    woken: list[bool] = []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            woken.append(bridge._dispatcher.loop._wake.is_set())

    logger, handler = logging.getLogger("bridge.dispatch.process"), Slow()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        bridge._on_new_job(json.dumps({"job_id": str(UUID(int=1)), "session_id": None, "priority": 0}))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)

    assert woken == [True]


def test_stopping_waits_for_a_running_step_but_not_for_ever(settings: Settings, rows: Rows, dsn: str) -> None:
    bridge = BridgeProcess(settings)
    with psycopg.connect(dsn) as somebody:
        somebody.execute("LOCK TABLE coding_jobs")
        bridge.start()
        eventually(lambda: rows.value(WAITING), what="a statement that waits")

        assert not bridge.stop(0.1)
        somebody.rollback()

    assert bridge.stop(10)


HANDED_OVER = """
    SELECT queue, sum(attempts)::int AS jobs FROM latency_history WHERE seconds = 60 AND stage = 'hand_over'
    GROUP BY 1"""


def test_what_each_part_of_the_bridge_hands_over_is_in_the_history(
    settings: Settings, redis_url: str, rows: Rows, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("upkeep._REST_SECONDS", "upkeep._BUSY_REST_SECONDS", "history._AGAIN_SECONDS"):
        monkeypatch.setattr(f"bridge.dispatch.{name}", 0.05)
    steps.queue.record_history()  # the bridge only adds to it
    steps.add_worker(queues=["coding", "suspects"])
    rows.add_job()
    rows.add_job(queue="suspects", crashes=2)
    bridge = BridgeProcess(settings)
    bridge.start()

    def handed_over() -> dict[str, int]:
        return {row["queue"]: row["jobs"] for row in rows.all(HANDED_OVER)}

    try:
        eventually(lambda: handed_over() == {"coding": 1, "suspects": 1}, what="both hand-overs")
        with patient_client(redis_url) as client:
            client.flushdb()
        eventually(lambda: handed_over() == {"coding": 2, "suspects": 2}, what="both hand-overs again")
    finally:
        assert bridge.stop(10)

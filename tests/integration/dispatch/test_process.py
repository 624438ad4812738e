"""The bridge process at its start and its end."""

import json
import logging
from uuid import UUID

import psycopg
import pytest
import redis

from bridge.dispatch.process import BridgeProcess
from bridge.settings import Settings
from tests.support.rows import Rows
from tests.support.waiting import eventually

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'mobvibe %' AND wait_event_type = 'Lock'"


def test_a_redis_that_may_evict_messages_causes_a_warning_at_the_start(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(settings.redis_address()) as client:
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

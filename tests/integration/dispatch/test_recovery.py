"""No worker is declared lost before its heartbeats could reach Postgres again."""

import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from bridge.dispatch.recovery import Recovery
from bridge.postgres.link import Link
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


def step_until_crashed(
    recovery: Recovery, rows: Rows, job_id: UUID, *, seconds: float, before: Callable[[], None] = lambda: None
) -> None:
    def step() -> bool:
        before()
        recovery.step()
        return rows.outcomes(job_id) == ["crashed"]

    eventually(step, seconds=seconds, what="a sweep that calls it crashed")


def test_a_new_bridge_waits_for_workers_that_could_not_reach_postgres_either(
    steps: Steps, rows: Rows, link: Link
) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    held = steps.started(worker)
    steps.silence(worker)  # no process could reach Postgres for the time of a lease
    eventually(
        lambda: rows.value("SELECT now() - pg_postmaster_start_time() > '6 s'"), what="its own grace time to end"
    )
    recovery = Recovery(link, lambda: None, lease_seconds=6)

    recovery.step()
    assert rows.value("SELECT stopped_at FROM workers") is None
    assert steps.heartbeat(worker, held) == {}
    recovery.step()
    assert rows.outcomes(job_id) == []
    assert steps.complete(held)


def test_a_new_bridge_does_not_wait_for_long(
    steps: Steps, rows: Rows, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    steps.silence(worker)
    recovery = Recovery(link, lambda: None, lease_seconds=1)
    recovery.active()
    monkeypatch.setattr("bridge.dispatch.recovery._FIRST_GRACE_SECONDS", 0.3)
    began = time.monotonic()

    step_until_crashed(recovery, rows, job_id, seconds=5)
    assert time.monotonic() - began >= 0.3


def test_after_a_suspend_no_worker_is_declared_lost_before_heartbeats_could_arrive(
    steps: Steps, rows: Rows, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asleep = time.clock_gettime, 0.0
    monkeypatch.setattr("bridge.runtime.clock.time.clock_gettime", lambda which: clock(which) + asleep)
    monkeypatch.setattr("bridge.dispatch.recovery._FIRST_GRACE_SECONDS", 0.0)
    recovery = Recovery(link, lambda: None, lease_seconds=4)
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    recovery.step()
    steps.silence(worker)
    asleep = 2.5
    recovery.active()
    woke_at = time.monotonic()

    step_until_crashed(recovery, rows, job_id, seconds=10)
    assert time.monotonic() - woke_at >= 4


def test_a_bridge_whose_link_keeps_breaking_still_declares_dead_workers_lost(
    steps: Steps, rows: Rows, link: Link
) -> None:
    recovery = Recovery(link, lambda: None, lease_seconds=0.7)
    recovery.step()
    job_id = rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    steps.silence(worker)
    recovery.active()
    broke_first = time.monotonic()

    step_until_crashed(recovery, rows, job_id, seconds=8, before=link.close)
    assert time.monotonic() - broke_first >= 2.1, "heartbeats had three leases to come through"


def test_no_worker_is_declared_lost_right_after_postgres_started(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker = steps.add_worker()
    steps.started(worker)
    steps.silence(worker)

    assert steps.queue.reclaim_jobs(limit=10, grace=timedelta(days=1)) == []

    assert rows.value("SELECT stopped_at FROM workers WHERE id = %s", [worker]) is None

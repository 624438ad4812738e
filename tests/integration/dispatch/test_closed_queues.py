"""A queue whose key another application wrote: only this queue's jobs are not claimed."""

import time
from collections.abc import Callable

import pytest

from bridge.dispatch.dispatcher import Dispatcher
from bridge.transport.client import connect_redis
from tests.support.fleet import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_jobs_of_a_closed_queue_are_claimed_once_and_the_other_queues_run(
    fleet: Fleet, rows: Rows, redis_url: str
) -> None:
    with connect_redis(redis_url) as client:
        client.set("mobvibe:tests", "theirs")
    stopped = [rows.add_job(actor="double", queue="tests", payload={"n": 21}) for _ in range(3)]
    eventually(lambda: any(rows.job(job_id)["fence"] for job_id in stopped))

    others = [rows.add_job(actor="plain", queue="default", payload={"args": []}) for _ in range(20)]
    eventually(lambda: all(rows.status(job_id) == "completed" for job_id in others), seconds=20)

    claims = [rows.job(job_id)["fence"] for job_id in [*stopped, *others]]
    assert max(claims) <= 2, claims


@pytest.mark.parametrize("worker", ["busy", "gone"])
def test_a_closed_queue_without_free_slots_causes_no_busy_loop(
    new_fleet: Callable[..., Fleet], rows: Rows, redis_url: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, worker: str,
) -> None:  # fmt: skip
    steps: list[float] = []
    step = Dispatcher.step

    def counted(self: Dispatcher) -> float:
        steps.append(time.monotonic())
        return step(self)

    monkeypatch.setattr(Dispatcher, "step", counted)
    fleet = new_fleet()
    process = fleet.start_worker(threads=1)
    fleet.start_bridge()
    with connect_redis(redis_url) as client:
        client.delete("mobvibe:default")
        client.set("mobvibe:default", "theirs")
    stopped = rows.add_job(actor="plain", queue="default", payload={"args": []})
    eventually(lambda: "A queue's jobs wait: Redis has a key of another type" in caplog.text)
    if worker == "busy":
        rows.add_job(actor="wait_at_gate", queue="tests", payload={})
        eventually(lambda: fleet.actor_log.started, what="a full slot")
    else:
        process.stop(5000)
    since = time.monotonic() + 2.5  # by then its next check has come

    eventually(lambda: time.monotonic() > since + 1, what="steps to count")

    assert sum(1 for at in steps if since <= at < since + 1) <= 50
    with connect_redis(redis_url) as client:
        client.delete("mobvibe:default")
    if worker == "gone":
        new_fleet().start_worker(threads=1)
    fleet.actor_log.gates["gate"].set()
    eventually(lambda: rows.status(stopped) == "completed", seconds=20, what="the end of the job")

"""A worker that was frozen past its lease begins none of its waiting jobs when it wakes."""

import math
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from bridge.job import Attempt
from bridge.postgres.attempts import AttemptKey, Attempts
from bridge.postgres.link import Link
from bridge.runtime.clock import now
from bridge.settings import Settings
from bridge.worker import runs as runs_module
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.heartbeat import Heartbeat
from bridge.worker.interrupts import LeaseOverError
from bridge.worker.middleware import JobMiddleware
from bridge.worker.process import WorkerProcess
from bridge.worker.runs import Runs
from tests.support.fleet import Fleet
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.steps import CODING, Steps
from tests.support.waiting import eventually

LEASE = 30.0


def test_an_actor_does_not_begin_when_the_lease_may_be_over(
    fleet: Fleet, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually(lambda: rows.value("SELECT count(*) FROM workers") == 1)
    (job_middleware,) = [one for one in fleet.broker.middleware if isinstance(one, JobMiddleware)]
    eventually(lambda: job_middleware.process.runs.lease_ends < math.inf)
    with monkeypatch.context() as clock:
        clock.setattr(runs_module, "now", lambda: now() + 1e9)
        job_id = rows.add_job(actor="double", queue="tests", payload={"n": 4})
        eventually(lambda: rows.outcomes(job_id), what="a first attempt that ends")
        assert fleet.actor_log.starts(job_id) == 0

    eventually(lambda: rows.status(job_id) == "completed", what="the job's end")

    assert set(rows.outcomes(job_id)[:-1]) == {"released"}
    assert rows.job(job_id)["retry_count"] == 0
    assert fleet.actor_log.starts(job_id) == 1
    check_invariants(rows)


def test_the_lease_is_renewed_by_each_answered_heartbeat_and_starts_again_with_a_new_name(rows: Rows, dsn: str) -> None:
    runs = Runs()
    heartbeat = Heartbeat(
        Attempts(Link(dsn, "heartbeat")), runs, WorkerAbilities(1, ["tests"], {}), print, lease_seconds=LEASE
    )
    began = now()
    heartbeat.open()
    assert began + LEASE <= runs.lease_ends <= now() + LEASE
    first, worker = runs.lease_ends, heartbeat.worker
    heartbeat.drain()
    eventually(lambda: runs.lease_ends > first, what="a longer lease")
    eventually(lambda: rows.value("SELECT draining FROM workers"))

    rows.all("UPDATE workers SET stopped_at = now(), stop_reason = 'lost' WHERE stopped_at IS NULL")
    runs.lease_ends = refused = now()
    heartbeat._next_beat = 0
    eventually(lambda: heartbeat.worker != worker, what="the notice that it was declared lost")
    eventually(lambda: runs.lease_ends > refused, what="a lease under the new name")

    heartbeat.close(5)


class LostMeanwhile(Attempts):
    """Declares its worker lost, so that it gets a new name before the answer to its start call arrives."""

    process: WorkerProcess

    def start(self, worker: UUID, held: Sequence[AttemptKey]) -> dict[UUID, Attempt]:
        started = super().start(worker, held)
        self.process._heartbeat._start_over()
        return started


def test_a_started_job_is_not_run_when_its_worker_was_declared_lost_meanwhile(
    steps: Steps, rows: Rows, dsn: str, settings: Settings
) -> None:
    job_id = rows.add_job()
    process = WorkerProcess(settings, WorkerAbilities(1, ["coding"], CODING), lambda _: None)
    book = LostMeanwhile(Link(dsn, "starts"))
    book.process = process
    process._starts._attempts = book
    process.open()
    held = AttemptKey(job_id, steps.claim_one().fence, uuid4())

    (run,) = process.start([held])[0].values()

    with pytest.raises(LeaseOverError):
        process.runs.enter(run)
    process.close()

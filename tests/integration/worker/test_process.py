"""A worker process at its end: its last reports, and the jobs that it leaves behind."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest
from dramatiq.middleware import Interrupt

from bridge.job import Completed
from bridge.postgres.attempts import AttemptKey
from bridge.settings import Settings
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.ending import Ending
from bridge.worker.process import WorkerProcess
from bridge.worker.runs import Run
from tests.support.rows import Rows
from tests.support.steps import CODING, Steps
from tests.support.waiting import eventually


@pytest.fixture
def new_process(settings: Settings) -> Iterator[Callable[[int], WorkerProcess]]:
    made = []

    def make(grace_ms: int) -> WorkerProcess:
        own = settings.model_copy(update={"shutdown_timeout_ms": grace_ms})
        made.append(WorkerProcess(own, WorkerAbilities(1, ["coding"], CODING), lambda _: None))
        made[-1].open()
        return made[-1]

    yield make
    for process in made:
        process.close()


def started(process: WorkerProcess, steps: Steps) -> Run:
    claim = steps.claim_one()
    (run,) = process.start([AttemptKey(claim.job_id, claim.fence, uuid4())])[0].values()
    return run


def test_reports_get_the_grace_time_that_jobs_did_not_use(
    new_process: Callable[[int], WorkerProcess], steps: Steps, rows: Rows, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.worker.process._FLUSH_SECONDS", 0.2)
    job_id = rows.add_job()
    process = new_process(20_000)
    run = started(process, steps)
    process.wind_down(lambda: None)

    with psycopg.connect(dsn) as somebody, ThreadPoolExecutor() as pool:
        somebody.execute("SELECT FROM coding_jobs WHERE id = %s FOR UPDATE", [job_id])
        process.end(run, Ending(run.key, Completed(None), run))
        closed = pool.submit(process.close)
        with pytest.raises(NotYetError):
            closed.result(1.5)
        somebody.rollback()
        closed.result(10)

    assert rows.outcomes(job_id) == ["completed"]


def test_a_job_left_behind_runs_elsewhere_when_its_process_has_ended(
    new_process: Callable[[int], WorkerProcess], steps: Steps, rows: Rows
) -> None:
    job_id = rows.add_job()
    process = new_process(0)
    run, actor_may_end = started(process, steps), threading.Event()

    def act() -> None:
        process.runs.enter(run)
        while not actor_may_end.is_set():
            with suppress(Interrupt):  # an actor that ignores its interrupt
                actor_may_end.wait(0.05)

    with ThreadPoolExecutor() as pool:
        pool.submit(act)
        try:
            eventually(lambda: run.thread is not None)
            process.close()
        finally:
            actor_may_end.set()

    assert rows.outcomes(job_id) == ["released"]
    assert rows.value("SELECT run_at - updated_at >= '1.9 s' AND retry_count = 0 FROM coding_jobs")


def test_a_process_ends_when_one_of_its_threads_has_ended_and_not_before_it_has_begun(settings: Settings) -> None:
    thread, is_ending, looks = threading.Thread(target=lambda: None), threading.Event(), []

    def threads() -> list[threading.Thread]:
        looks.append(thread.is_alive())
        return [thread]

    process = WorkerProcess(
        settings.model_copy(update={"lease_ms": 1000}),
        WorkerAbilities(1, ["coding"], CODING),
        lambda _: None,
        threads=threads,
        end=lambda _: is_ending.set(),
    )
    process.open()
    try:
        eventually(lambda: len(looks) > 2, what="some heartbeats")
        assert not is_ending.is_set()
        thread.start()
        assert is_ending.wait(10)
    finally:
        process.close()

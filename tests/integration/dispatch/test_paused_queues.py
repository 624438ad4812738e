"""A bridge obeys pauses while it runs, after it starts again, and with nothing to do but to wait."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from bridge.dispatch.dispatcher import Dispatcher
from bridge.postgres.link import Link
from bridge.postgres.queue_pauses import pause_queue, resume_queue
from bridge.transport.client import connect_redis
from bridge.transport.publisher import Publisher
from tests.support.fleet import Add, Fleet, NewFleet, finished
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

POLL_MS = 600_000  # so long that what happens soon happens because of a notification
SOON_SECONDS = 2.0  # far less than a poll, and far more than a notification takes on a busy machine


Act = Callable[[str], None]


@pytest.fixture
def pause(link: Link) -> Act:
    def pause(queue: str) -> None:
        assert pause_queue(link.call, queue, by="ann", reason=None)[1]

    return pause


@pytest.fixture
def resume(link: Link) -> Act:
    def resume(queue: str) -> None:
        assert resume_queue(link.call, queue, by="ann", reason=None)

    return resume


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect_redis(redis_url) as client:
        yield client


def dispatcher(steps: Steps, client: redis.Redis) -> Dispatcher:
    return Dispatcher(steps.queue, Publisher(client, "mobvibe"), name="bridge", lease_seconds=30, poll_seconds=5)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rest that each step of a dispatcher ended with."""
    found: list[float] = []
    step = Dispatcher.step

    def noting(self: Dispatcher) -> float:
        found.append(step(self))
        return found[-1]

    monkeypatch.setattr(Dispatcher, "step", noting)
    return found


def give_a_chance(fleet: Fleet, made: list[float]) -> None:
    """Wait until the bridge has made a whole step from here on (one may be under way), and rests for long."""
    assert fleet.bridge is not None
    for _ in range(2):
        before = len(made)
        fleet.bridge._dispatcher.loop.wake()
        eventually(lambda before=before: len(made) > before, what="a step")  # type: ignore[misc]
    eventually(lambda: made[-1] > SOON_SECONDS, what="a long rest")


# It rests.


@pytest.mark.parametrize("run_at", [None, datetime(2020, 1, 1, tzinfo=UTC)])
def test_a_bridge_rests_before_due_jobs_of_a_paused_queue(
    steps: Steps, rows: Rows, client: redis.Redis, pause: Act, run_at: datetime | None
) -> None:
    steps.add_worker()
    pause("coding")
    job_id = rows.add_job(run_at=run_at)
    rows.all("UPDATE coding_jobs SET due = run_at IS NULL")  # as one that becomes due now
    ours = dispatcher(steps, client)
    ours.step()

    assert ours.step() >= 0.25, "at least until the next look for due jobs"

    assert rows.status(job_id) == "pending"


def test_a_bridge_with_a_paused_backlog_makes_few_steps(
    new_fleet: NewFleet, rows: Rows, pause: Act, made: list[float]
) -> None:
    """Also when all queues of its workers are paused."""
    pause("tests")
    pause("default")
    fleet = new_fleet(poll_interval_ms=10_000).start()
    rows.all("INSERT INTO coding_jobs (actor, queue) SELECT 'double', 'tests' FROM generate_series(1, 2000)")
    rows.all(
        "INSERT INTO coding_jobs (actor, queue, run_at)"
        " SELECT 'double', 'tests', clock_timestamp() + n * interval '10 ms' FROM generate_series(1, 50) AS n"
    )
    eventually(lambda: rows.value("SELECT NOT EXISTS (SELECT FROM coding_jobs WHERE NOT due)"), seconds=20)
    eventually(lambda: made[-1:] and made[-1] > 0.2, seconds=20, what="a rest")

    made.clear()
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 3)

    assert len(made) <= 3 * 6, "few steps in three seconds"
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'pending'") == 2050
    assert fleet.actor_log.started == []


# It goes on, and no process has to start again for that.


def test_the_end_of_a_pause_wakes_a_bridge_at_once(
    new_fleet: NewFleet, rows: Rows, add: Add, pause: Act, resume: Act, made: list[float]
) -> None:
    fleet = new_fleet(poll_interval_ms=POLL_MS).start()
    finished(rows, add("double", {"n": 1}))

    for turn in range(3):
        pause("tests")
        waiting = add("double", {"n": turn})
        give_a_chance(fleet, made)
        assert rows.status(waiting) == "pending"

        resume("tests")
        finished(rows, waiting, seconds=SOON_SECONDS)
    check_invariants(rows)


def test_jobs_that_became_due_during_a_pause_run_at_its_end(
    new_fleet: NewFleet, rows: Rows, add: Add, pause: Act, resume: Act, made: list[float]
) -> None:
    fleet = new_fleet(poll_interval_ms=POLL_MS).start()
    pause("tests")
    waiting = add("double", {"n": 1}, run_at=datetime.now(UTC) + timedelta(seconds=0.5))
    eventually(lambda: rows.job(waiting)["due"], what="a job that is due")
    give_a_chance(fleet, made)

    resume("tests")

    finished(rows, waiting, seconds=SOON_SECONDS)


# It survives.


def test_processes_that_start_while_a_queue_is_paused_obey_and_go_on_when_it_is_resumed(
    new_fleet: NewFleet, rows: Rows, add: Add, pause: Act, resume: Act, made: list[float]
) -> None:
    pause("tests")
    waiting = add("double", {"n": 1})
    for _ in range(2):
        fleet = new_fleet(poll_interval_ms=POLL_MS).start()
        eventually(lambda: rows.value("SELECT count(*) FROM workers WHERE stopped_at IS NULL"))
        give_a_chance(fleet, made)
        assert rows.status(waiting) == "pending"
        fleet.stop()

    new_fleet(poll_interval_ms=POLL_MS).start()
    eventually(lambda: rows.value("SELECT count(*) FROM workers WHERE stopped_at IS NULL"))
    resume("tests")

    finished(rows, waiting)


def test_a_crash_of_postgres_ends_no_pause(rows: Rows) -> None:
    """The table is not among those that a server empties then."""
    assert rows.value("SELECT relpersistence::text FROM pg_class WHERE relname = 'queue_pauses'") == "p"


# What was handed over runs.


def test_jobs_that_are_running_or_handed_over_end_and_no_other_begins(
    new_fleet: NewFleet, rows: Rows, add: Add, pause: Act, resume: Act, made: list[float]
) -> None:
    fleet = new_fleet(poll_interval_ms=POLL_MS)
    fleet.start_worker(threads=1)
    fleet.start_bridge()
    running = add("wait_at_gate")
    eventually(lambda: fleet.actor_log.starts(running), what="a job that runs")
    pause("tests")
    waiting = add("double", {"n": 1})

    fleet.actor_log.gates["gate"].set()
    finished(rows, running)
    give_a_chance(fleet, made)

    assert rows.status(waiting) == "pending"
    resume("tests")
    finished(rows, waiting, seconds=SOON_SECONDS)
    check_invariants(rows)

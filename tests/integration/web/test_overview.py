"""The state that pages show live."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import PostgresUnavailableError
from bridge.postgres.pool import Pool
from bridge.web.histories import Histories
from bridge.web.overview import Overview
from tests.support.rows import Rows
from tests.support.steps import Steps


@pytest.fixture
def pool(dsn: str) -> Pool:
    return Pool(dsn, "test")


def overview(pool: Pool) -> Overview:
    return Overview(pool.call, Histories(pool.call))


def test_it_shows_what_is_there(pool: Pool, rows: Rows, steps: Steps) -> None:
    rows.add_job(created_at=datetime.now(UTC) - timedelta(hours=1), run_at=datetime.now(UTC) + timedelta(hours=1))
    rows.add_job(created_at=datetime.now(UTC) - timedelta(seconds=30))
    rows.add_job(status="failed", queue="other")
    steps.add_worker(slots=3)

    content = overview(pool).state().content

    assert content["counts"] == {"pending": 2, "processing": 0, "completed": 0, "failed": 1, "cancelled": 0}
    assert content["workers"] == {"workers": 1, "slots": 3, "busy": 0}
    assert [(queue["queue"], queue["oldest"]) for queue in content["queues"]] == [
        ("coding", "30 s"),
        ("other", None),
    ], "a job that may not run yet does not wait"
    assert content["verdict"]["healthy"]


def oldest(pool: Pool) -> dict[str, str | None]:
    return {queue["queue"]: queue["oldest"] for queue in overview(pool).state().content["queues"]}


def test_the_longest_wait_is_found_behind_jobs_that_may_not_run_yet_or_could_not(pool: Pool, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (queue, created_at, run_at)"
        " SELECT 'later', now() - interval '1 day', now() + interval '1 h' FROM generate_series(1, 1500)"
    )
    put_off = {"created_at": datetime.now(UTC) - timedelta(days=1), "run_at": datetime.now(UTC) - timedelta(seconds=2)}
    for queue in ("later", "again"):
        rows.add_job(queue=queue, **put_off)
        rows.add_job(queue=queue, created_at=datetime.now(UTC) - timedelta(minutes=5))
        rows.add_job(queue=queue)

    assert oldest(pool) == {"later": "5 min", "again": "5 min"}


def test_the_longest_wait_is_found_in_each_priority(pool: Pool, rows: Rows) -> None:
    for priority in (7, -3, 100, 0):
        age = timedelta(hours=3) if priority == 0 else timedelta(seconds=priority + 10)
        rows.add_job(priority=priority, created_at=datetime.now(UTC) - age)

    assert oldest(pool) == {"coding": "3 h"}


def test_it_says_where_a_job_may_have_waited_longer(pool: Pool, rows: Rows) -> None:
    put_off = "INSERT INTO coding_jobs (queue, run_at) SELECT %s, now() - interval '5 min' FROM generate_series(1, %s)"
    for queue, jobs in (("few", 19), ("many", 20)):
        rows.all(put_off, [queue, jobs])
    rows.all("INSERT INTO coding_jobs (queue, priority) SELECT 'priorities', n FROM generate_series(1, 50) n")
    rows.all("INSERT INTO coding_jobs (queue) SELECT 'plain' FROM generate_series(1, 30)")
    rows.all("UPDATE coding_jobs SET created_at = now() - interval '6 min'")

    assert oldest(pool) == {
        "few": "5 min", "many": "at least 5 min", "plain": "6 min", "priorities": "at least 6 min",
    }  # fmt: skip


def test_what_needs_attention_is_found(pool: Pool, rows: Rows, steps: Steps) -> None:
    rows.add_job(actor="nobody knows it", queue="q")
    stuck = rows.add_job()
    steps.silence(steps.add_worker())
    steps.add_worker()
    steps.claim()
    rows.all("UPDATE coding_jobs SET claimed_at = now() - interval '2 minutes' WHERE id = %s", [stuck])

    content = overview(pool).state().content

    assert not content["verdict"]["healthy"]
    assert [one["href"] for one in content["attention"]] == [
        "jobs?q=status%3Apending%20queue%3Aq%20actor%3A%22nobody%20knows%20it%22",
        "workers",
        "jobs?q=status%3Aprocessing",
    ]


def test_equal_figures_have_one_id_in_each_process(pool: Pool, rows: Rows) -> None:
    one, other = overview(pool).state(), overview(pool).state()
    rows.add_job(run_at=datetime.now(UTC) + timedelta(hours=1))

    assert one.id == other.id != overview(pool).state().id


def test_many_viewers_cost_one_reading(pool: Pool) -> None:
    asked: list[str] = []

    def call(name: str, params: dict[str, object]) -> list[dict[str, object]]:
        asked.append(name)
        return pool.call(name, params)

    shown = Overview(call, Histories(call))
    for _ in range(50):
        shown.state()

    assert sorted(asked) == ["attention", "history", "latencies", "live", "queue_pauses", "waiting_in_vain"]


def test_without_postgres_it_says_so_and_not_where_that_is() -> None:
    def call(name: str, params: dict[str, object]) -> list[dict[str, object]]:
        raise PostgresUnavailableError("no connection to db.internal")

    content = Overview(call, Histories(call)).state().content

    assert content["counts"] is None
    assert content["verdict"] == {
        "healthy": False, "text": "Postgres is unreachable. The log of mobvibe web says why.",
    }  # fmt: skip


def test_the_older_schema_has_no_history_and_is_shown(pool: Pool, rows: Rows, steps: Steps) -> None:
    rows.all("DROP TABLE queue_history")
    steps.add_worker()

    assert overview(pool).state().content["verdict"]["text"] == "Healthy: none waits."

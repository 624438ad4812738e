"""The history of minutes and hours: what it counts, that it counts once, and what a late commit and a gap do to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from bridge.postgres.history import RangeError, latency_bucket, percentile, read_history, read_latencies
from bridge.postgres.queue_rows import HandOvers
from tests.support.rows import Rows
from tests.support.steps import Steps

MINUTE = timedelta(minutes=1)
FAR = timedelta(days=4000)
TIMES = ("created_at", "claimed_at", "started_at", "completed_at", "run_at")


def pass_time(rows: Rows, by: timedelta) -> None:
    """All that is in the tables happened earlier."""
    for table, columns in (("coding_jobs", TIMES), ("job_attempts", ("claimed_at", "started_at", "finished_at"))):
        rows.all(f"UPDATE {table} SET " + ", ".join(f"{one} = {one} - %(by)s" for one in columns), {"by": by})
    for table in ("queue_history", "latency_history"):
        for step in (FAR + by, -FAR):  # not onto the rows of other minutes
            rows.all(f"UPDATE {table} SET at = at - %s WHERE seconds = 60", [step])


def record(steps: Steps, rows: Rows) -> int:
    """A minute later: the current minute has ended."""
    pass_time(rows, MINUTE)
    return steps.queue.record_history()


def totals(rows: Rows, queue: str = "coding", seconds: int = 60) -> dict[str, int]:
    found = rows.one(
        "SELECT sum(inserted) AS inserted, sum(started) AS started, sum(completed) AS completed,"
        " sum(failed_attempts) AS failed_attempts, sum(retried) AS retried, sum(failed) AS failed,"
        " sum(cancelled) AS cancelled FROM queue_history WHERE seconds = %s AND queue = %s",
        [seconds, queue],
    )
    return {name: int(count) for name, count in found.items() if count}


def at_once(rows: Rows, job_id: UUID) -> None:
    rows.all("UPDATE coding_jobs SET run_at = clock_timestamp() - interval '1 ms' WHERE id = %s", [job_id])


def test_each_event_is_counted_once_whatever_becomes_of_its_job(steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()
    done = rows.add_job()
    steps.complete(steps.started(worker))
    broken = rows.add_job()
    for _ in range(3):
        at_once(rows, broken)
        steps.fail(steps.started(worker))
    stopped, waiting = rows.add_job(), rows.add_job()
    rows.all("SELECT cancel_job(%s)", [stopped])
    expected = {
        "inserted": 4,
        "started": 4,
        "completed": 1,
        "failed_attempts": 3,
        "retried": 2,
        "failed": 1,
        "cancelled": 1,
    }

    assert record(steps, rows) == 60, "the last hour"
    assert totals(rows) == expected
    assert [rows.status(job) for job in (done, broken, stopped, waiting)] == [
        "completed",
        "failed",
        "cancelled",
        "pending",
    ]

    rows.all("SELECT retry_job(%s)", [done])
    rows.all("SELECT retry_job(%s)", [broken])
    assert record(steps, rows) == 1
    rows.all("DELETE FROM coding_jobs")
    assert record(steps, rows) == 1
    assert totals(rows) == expected, "recorded thrice, changed by no retry and no deletion"


def test_hours_are_the_sums_of_their_minutes_however_often_they_are_added_up(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    steps.complete(steps.started())
    record(steps, rows)
    for _ in range(2):
        rows.all("DELETE FROM queue_history WHERE seconds = 60 AND at > now() - interval '3 minutes'")
        steps.queue.record_history()

    assert totals(rows) == totals(rows, seconds=3600) == {"inserted": 1, "started": 1, "completed": 1}
    runs = "SELECT seconds, sum(attempts) AS sum FROM latency_history WHERE stage = 'run' GROUP BY seconds ORDER BY 1"
    assert [tuple(row.values()) for row in rows.all(runs)] == [(60, 1), (3600, 1)]


def test_the_sums_wait_for_no_bridge_that_adds_its_hand_overs(steps: Steps, rows: Rows, dsn: str) -> None:
    minute = rows.value("SELECT extract(epoch FROM date_trunc('minute', now()))::bigint")
    steps.queue.add_hand_overs({HandOvers(minute, "coding", 10): 1})
    steps.link.connection.execute("SET lock_timeout = '1s'")
    with psycopg.connect(dsn) as other:
        other.execute("UPDATE latency_history SET attempts = attempts + 1 WHERE stage = 'hand_over'")

        assert steps.queue.record_history() == 60

    assert rows.all("SELECT seconds, attempts FROM latency_history ORDER BY 1") == [
        {"seconds": 60, "attempts": 2}, {"seconds": 3600, "attempts": 2},
    ]  # fmt: skip


def test_a_failure_is_final_also_if_its_job_was_retried_by_hand_before_the_minute_was_recorded(
    steps: Steps, rows: Rows
) -> None:
    worker = steps.add_worker()
    often = rows.add_job(max_retries=9)
    for _ in range(8):
        at_once(rows, often)
        steps.fail(steps.started(worker))
    other = rows.add_job(max_retries=1)
    steps.fail(steps.started(worker))
    job = rows.add_job(max_retries=2)
    for _ in range(2):
        steps.release(steps.started(worker))
    for retried_by_hand in (False, True, False):
        steps.fail(steps.started(worker))
        at_once(rows, job)
        if retried_by_hand:
            rows.all("SELECT retry_job(%s)", [job])
            steps.release(steps.started(worker))

    record(steps, rows)

    assert [rows.status(one) for one in (job, other)] == ["pending", "failed"]
    assert totals(rows) == {"inserted": 3, "started": 15, "failed_attempts": 12, "retried": 10, "failed": 2}


def test_a_failure_before_a_completion_was_not_final(steps: Steps, rows: Rows) -> None:
    job = rows.add_job()
    worker = steps.add_worker()
    steps.fail(steps.started(worker))
    at_once(rows, job)
    steps.complete(steps.started(worker))
    rows.all("SELECT retry_job(%s)", [job])

    record(steps, rows)

    assert totals(rows) == {"inserted": 1, "started": 1, "failed_attempts": 1, "retried": 1}


def test_the_wait_of_a_job_that_runs_does_not_go_on_growing(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    steps.started()
    waits = "SELECT bucket, attempts FROM latency_history WHERE seconds = 60 AND stage = 'wait'"

    record(steps, rows)
    first = rows.all(waits)
    record(steps, rows)

    assert [row["attempts"] for row in first] == [1], "as soon as it has started"
    assert rows.all(waits) == first


def test_a_bucket_is_the_same_in_the_bridge_and_in_the_database(rows: Rows) -> None:
    times = [-1.0, 0.0, 0.0009, 0.001, 0.0012, 0.00127, 0.5, 0.9999, 1.0, 12.6, 86_400.0, 99_999.0, 100_000.0, 1e7]

    found = rows.all(
        "SELECT latency_bucket(make_interval(secs => t)) AS bucket"
        " FROM unnest(%s::float8[]) WITH ORDINALITY AS u (t, n) ORDER BY n",
        [times],
    )

    assert [latency_bucket(seconds) for seconds in times] == [row["bucket"] for row in found]


def test_latencies_of_the_last_hour_are_read_by_queue(steps: Steps, rows: Rows) -> None:
    for queue, minutes, stage, bucket in (
        ("a", 1, "wait", 31), ("a", 30, "wait", 31), ("a", 90, "wait", 61),
        ("a", 1, "hand_over", 11), ("b", 1, "wait", 21),
    ):  # fmt: skip
        rows.all(
            "INSERT INTO latency_history VALUES (60, now() - make_interval(mins => %s), %s, %s, %s, 2)",
            [minutes, queue, stage, bucket],
        )

    found = read_latencies(steps.link.call)

    assert found.keys() == {"a", "b"}
    assert found["a"]["wait"]["p99"] == pytest.approx(1.26, rel=0.01), "not what was longer ago"
    assert found["a"]["hand_over"]["p50"] == pytest.approx(0.0112, rel=0.01)
    assert found["b"]["hand_over"] == {"p50": None, "p95": None, "p99": None}


def test_a_clock_that_is_ahead_makes_no_negative_latency(steps: Steps, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, fence, created_at, claimed_at, started_at, completed_at)"
        " SELECT 'completed', 1, t + interval '5 s', t, t - interval '1 s', t - interval '2 s'"
        " FROM (SELECT now() - interval '2 minutes' AS t) m"
    )
    steps.queue.record_history()

    assert rows.all("SELECT DISTINCT bucket FROM latency_history") == [{"bucket": 1}]


def test_the_history_is_that_of_the_database_and_no_restart_forgets_it(steps: Steps, rows: Rows, dsn: str) -> None:
    rows.add_job()
    steps.complete(steps.started())
    record(steps, rows)
    seen = read_history(steps.link.call, "1h", None)
    other = Steps(dsn, rows)

    assert other.queue.record_history() == 0
    assert read_history(other.link.call, "1h", None) == seen
    assert seen["totals"]["counts"]["completed"] == 1
    other.close()


def test_a_hand_back_is_no_failure(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    steps.release(steps.started())

    record(steps, rows)

    assert totals(rows) == {"inserted": 1, "started": 1}


def test_a_job_that_commits_late_is_counted_in_the_minute_of_its_beginning(steps: Steps, rows: Rows, dsn: str) -> None:
    with psycopg.connect(dsn) as late:
        late.execute("INSERT INTO coding_jobs (created_at) VALUES (now() - interval '1 minute')")
        record(steps, rows)
        assert totals(rows) == {}
        late.commit()
    pass_time(rows, MINUTE)
    steps.queue.record_history()

    assert totals(rows) == {"inserted": 1}


def test_minutes_without_a_bridge_are_recorded_later(steps: Steps, rows: Rows) -> None:
    record(steps, rows)
    rows.add_job()
    pass_time(rows, timedelta(minutes=30))
    steps.queue.record_history()
    marked = (
        "SELECT count(DISTINCT at) AS found, max(at) - min(at) AS span FROM queue_history"
        " WHERE seconds = 60 AND queue = ''"
    )

    assert totals(rows) == {"inserted": 1}
    found = rows.one(marked)
    assert found["span"] == (found["found"] - 1) * MINUTE, "no gap"
    rows.all("DELETE FROM queue_history WHERE seconds = 60 AND at > now() - interval '2 hours'")
    rows.all(
        "INSERT INTO queue_history (seconds, at, queue)"
        " VALUES (60, date_trunc('minute', now()) - interval '9 days', '')"
    )
    assert steps.queue.record_history() > 1440
    assert rows.one(marked)["found"] <= 1442, "a day at most"


def test_a_second_call_in_the_same_minute_and_a_second_bridge_record_nothing(
    steps: Steps, rows: Rows, dsn: str
) -> None:
    rows.add_job()
    with psycopg.connect(dsn) as other:
        pass_time(rows, MINUTE)
        other.execute("SELECT record_history()")
        assert steps.queue.record_history() == 0, "the other one is at it"
    rows.all("DELETE FROM queue_history WHERE queue = 'coding'")
    assert steps.queue.record_history() == 0
    assert totals(rows) == {}, "recorded already"


def test_minutes_of_the_future_stop_no_recording(steps: Steps, rows: Rows) -> None:
    """A clock was wrong for a while."""
    record(steps, rows)
    rows.all(
        "INSERT INTO queue_history (seconds, at, queue) VALUES (60, date_trunc('minute', now()) + interval '1 h', '')"
    )

    assert record(steps, rows) == 1


def test_jobs_that_wait_are_counted_in_their_queues(steps: Steps, rows: Rows) -> None:
    for queue in ("a", "b", "b"):
        rows.add_job(queue=queue)

    record(steps, rows)

    assert [totals(rows, queue) for queue in ("a", "b")] == [{"inserted": 1}, {"inserted": 2}]


def test_what_began_long_ago_brings_no_old_minutes_back(steps: Steps, rows: Rows) -> None:
    rows.add_job(created_at=datetime.now(UTC) - timedelta(days=3))
    steps.complete(steps.started())

    record(steps, rows)

    assert totals(rows) == {"started": 1, "completed": 1}
    assert rows.all("SELECT FROM queue_history WHERE at < now() - interval '2 hours'") == []


def test_the_wait_of_an_attempt_is_left_out_where_its_job_forgot_it(steps: Steps, rows: Rows) -> None:
    waits = "SELECT coalesce(sum(attempts), 0) FROM latency_history WHERE seconds = 60 AND stage = 'wait'"
    worker = steps.add_worker()
    job = rows.add_job()
    steps.fail(steps.started(worker), delay=timedelta(minutes=5))
    record(steps, rows)
    assert rows.value(waits) == 0, "run_at is that of the next attempt"

    at_once(rows, job)
    steps.complete(steps.started(worker))
    record(steps, rows)
    assert rows.value(waits) == 1


def test_the_depth_is_that_of_the_moment(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    rows.add_job()
    steps.add_worker(slots=1)
    steps.claim()
    steps.queue.record_history()
    depths = rows.all(
        "SELECT h.queue, h.pending, h.processing FROM queue_history h WHERE h.seconds = 60 ORDER BY h.at DESC, h.queue"
    )

    assert [tuple(row.values()) for row in depths[:3]] == [("", 0, 0), ("coding", 1, 1), ("", None, None)]


def test_stages_are_measured_from_when_a_job_could_run(steps: Steps, rows: Rows) -> None:
    def job(queue: str, **columns: Any) -> UUID:
        now = datetime.now(UTC) - timedelta(minutes=2)
        times = {"created_at": -30, "claimed_at": 0.1, "started_at": 0.3, "completed_at": 2.3} | columns.pop(
            "times", {}
        )
        moments = {name: now + timedelta(seconds=at) for name, at in times.items()}
        return rows.add_job(queue=queue, status="completed", **({"fence": 1} | moments | columns))

    job("plain", times={"created_at": -1})
    job("scheduled", run_at=datetime.now(UTC) - timedelta(minutes=2))
    job("again", fence=2, retry_count=1, run_at=datetime.now(UTC) - timedelta(minutes=2))
    job("released", fence=2, releases=1, run_at=datetime.now(UTC) - timedelta(minutes=2))
    steps.queue.record_history()

    def middle(queue: str, stage: str) -> float | None:
        asked = "SELECT bucket, attempts FROM latency_history WHERE seconds = 60 AND queue = %s AND stage = %s"
        return percentile({row["bucket"]: row["attempts"] for row in rows.all(asked, [queue, stage])}, 0.5)

    assert middle("plain", "claim") == pytest.approx(1.1, rel=0.26)
    assert middle("plain", "start") == pytest.approx(0.2, rel=0.26)
    assert middle("plain", "wait") == pytest.approx(1.3, rel=0.26)
    assert middle("plain", "run") == pytest.approx(2.0, rel=0.26)
    assert middle("scheduled", "wait") == middle("again", "wait") == pytest.approx(0.3, rel=0.26)
    assert middle("released", "wait") is None
    assert middle("released", "run") == pytest.approx(2.0, rel=0.26)


def test_old_rows_are_deleted_in_batches(steps: Steps, rows: Rows) -> None:
    for seconds, unit, first, last in ((60, "1 hour", 20, 40), (3600, "1 day", 25, 35)):
        rows.all(
            "INSERT INTO queue_history (seconds, at, queue)"
            " SELECT %s, now() - n * %s::interval, 'q' FROM generate_series(%s::int, %s::int) n",
            [seconds, unit, first, last],
        )
        rows.all(
            "INSERT INTO latency_history"
            " SELECT %s, now() - n * %s::interval, 'q', 'run', 1, 1 FROM generate_series(%s::int, %s::int) n",
            [seconds, unit, first, last],
        )

    assert [steps.queue.prune_history(limit=10) for _ in range(4)] == [30, 12, 0, 0]

    assert rows.value("SELECT count(*) FROM queue_history WHERE seconds = 60 AND at > now() - interval '25 hours'") == 5
    assert rows.value("SELECT count(*) FROM queue_history") == 5 + 6
    assert rows.value("SELECT count(*) FROM latency_history") == 5 + 6


@pytest.fixture
def busy(rows: Rows) -> datetime:
    """Two queues with two and one completed jobs in the last recorded minute."""
    at: datetime = rows.value("SELECT date_trunc('minute', now()) - interval '1 minute'")
    for queue, jobs in (("", 0), ("a", 2), ("b", 1)):
        rows.all(
            "INSERT INTO queue_history (seconds, at, queue, completed, pending) VALUES (60, %s, %s, %s, %s)",
            [at, queue, jobs, jobs],
        )
    rows.all(
        "INSERT INTO latency_history VALUES (60, %(at)s, 'a', 'run', 31, 2), (60, %(at)s, 'b', 'run', 41, 2)",
        {"at": at},
    )
    return at


def test_a_range_has_a_point_for_each_step(steps: Steps, busy: datetime) -> None:
    found = read_history(steps.link.call, "1h", None)

    assert len(found["times"]) == 60
    assert found["times"][-1] == busy.timestamp()
    assert found["counts"]["completed"][-2:] == [None, 3], "None: not recorded"
    assert found["depth"]["pending"][-1] == 3
    assert (found["latest"]["steps"], found["latest"]["counts"]["completed"]) == (1, 3), "recorded ones only"
    assert found["totals"]["counts"]["completed"] == 3
    assert found["totals"]["latency_seconds"]["run"]["p50"] == pytest.approx(1.26, rel=0.01)
    assert found["latency_seconds"]["run"]["p99"][-1] > 10


def test_a_range_of_one_queue(steps: Steps, busy: datetime) -> None:
    assert read_history(steps.link.call, "24h", "b")["totals"]["counts"]["completed"] == 1
    assert read_history(steps.link.call, "24h", "none")["counts"]["completed"][-1] in (0, None)
    assert len(read_history(steps.link.call, "30d", None)["times"]) == 180
    with pytest.raises(RangeError, match="1h, 24h, 30d"):
        read_history(steps.link.call, "2h", None)


def test_percentiles_lie_within_their_bucket() -> None:
    assert percentile({}, 0.5) is None
    for bucket, least, most in ((1, 0.001, 0.00126), (31, 1.0, 1.26), (81, 1e5, 1.3e5)):
        assert least <= (percentile({bucket: 3}, 0.95) or 0) <= most

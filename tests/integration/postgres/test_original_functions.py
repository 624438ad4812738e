"""The Node worker's functions, called as the Node worker, psql and PostgREST call them."""

from datetime import timedelta
from uuid import UUID, uuid4

from tests.support.rows import Rows
from tests.support.steps import Steps


def claim(rows: Rows) -> dict[str, object] | None:
    found = rows.all("SELECT * FROM claim_next_job()")
    return found[0] if found else None


def fail(rows: Rows, job_id: UUID, message: str = "boom") -> bool:
    result: bool = rows.value("SELECT fail_job(%s, %s)", [job_id, message])
    return result


def test_an_old_insert_still_works(rows: Rows) -> None:
    session_id = rows.add_session()
    job_id = rows.value("INSERT INTO coding_jobs (session_id, prompt) VALUES (%s, 'hello') RETURNING id", [session_id])

    job = rows.job(job_id)
    assert (job["status"], job["priority"], job["retry_count"], job["max_retries"]) == ("pending", 0, 0, 3)
    assert (job["actor"], job["queue"], job["payload"], job["fence"]) == ("run_coding_session", "coding", {}, 0)


def test_claim_next_job_returns_one_row_in_the_promised_columns(rows: Rows) -> None:
    session_id = rows.add_session()
    rows.add_job(session_id=session_id, prompt="second", priority=1)
    job_id = rows.add_job(session_id=session_id, prompt="first", priority=2)

    assert claim(rows) == {"job_id": job_id, "session_id": session_id, "prompt": "first", "priority": 2}

    job = rows.job(job_id)
    assert (job["status"], job["fence"]) == ("processing", 1)
    assert job["started_at"] is not None


def test_claim_next_job_returns_no_row_when_nothing_is_due(rows: Rows) -> None:
    assert claim(rows) is None
    rows.all("INSERT INTO coding_jobs (prompt, run_at) VALUES ('later', now() + interval '1 hour')")
    assert claim(rows) is None


def test_claim_next_job_ranks_jobs_of_all_queues_together(rows: Rows) -> None:
    order = [
        rows.add_job(queue=queue, priority=priority) for queue, priority in (("b", 5), ("a", 9), ("c", 7), ("a", 5))
    ]

    claimed = [claim(rows) for _ in range(5)]

    assert [row["job_id"] for row in claimed if row] == [order[1], order[2], order[0], order[3]]
    assert claimed[4] is None


def test_complete_job_changes_a_processing_row_only(rows: Rows) -> None:
    job_id = rows.add_job()
    rows.all("SELECT complete_job(%s)", [job_id])
    assert rows.job(job_id)["status"] == "pending"

    claim(rows)
    rows.all("SELECT complete_job(%s)", [job_id])
    first = rows.job(job_id)
    rows.all("SELECT complete_job(%s)", [job_id])

    assert rows.job(job_id) == first
    assert (first["status"], first["completed_at"] is not None) == ("completed", True)
    assert rows.outcomes(job_id) == ["completed"]


def test_fail_job_says_whether_the_job_runs_again(rows: Rows, steps: Steps) -> None:
    job_id = rows.add_job(max_retries=2)
    claim(rows)
    assert fail(rows, job_id) is True
    assert rows.job(job_id)["status"] == "pending"

    steps.make_due(job_id)
    claim(rows)
    assert fail(rows, job_id, "the end") is False

    job = rows.job(job_id)
    assert (job["status"], job["retry_count"], job["error_message"]) == ("failed", 2, "the end")
    assert job["completed_at"] is not None


def test_fail_job_marks_the_session_of_a_dead_letter(rows: Rows) -> None:
    session_id = rows.add_session(status="active")
    job_id = rows.add_job(session_id=session_id, max_retries=1)
    claim(rows)

    fail(rows, job_id, "the end")

    session = rows.session(session_id)
    assert (session["status"], session["error_message"]) == ("failed", "the end")


def test_fail_job_never_reopens_a_finished_job(rows: Rows) -> None:
    job_id = rows.add_job()
    claim(rows)
    rows.all("SELECT complete_job(%s)", [job_id])

    assert fail(rows, job_id) is False
    assert fail(rows, uuid4()) is False

    assert rows.job(job_id)["status"] == "completed"


def test_an_attempt_of_a_bridge_is_not_changed_without_its_fence(rows: Rows, steps: Steps) -> None:
    job_id = rows.add_job()
    held = steps.started()

    rows.all("SELECT complete_job(%s)", [job_id])
    assert fail(rows, job_id) is False

    assert rows.job(job_id)["status"] == "processing"
    assert steps.complete(held)


def test_get_queue_stats_counts_by_status(rows: Rows) -> None:
    assert rows.one("SELECT * FROM get_queue_stats()") == {
        "pending_count": 0,
        "processing_count": 0,
        "completed_count": 0,
        "failed_count": 0,
        "oldest_pending_age": None,
    }
    rows.all("INSERT INTO coding_jobs (created_at) VALUES (now() - interval '90s'), (now())")
    for status in ("processing", "completed", "completed", "failed", "cancelled"):
        rows.add_job(status=status)

    stats = rows.one("SELECT * FROM get_queue_stats()")

    assert list(stats) == ["pending_count", "processing_count", "completed_count", "failed_count", "oldest_pending_age"]
    assert list(stats.values())[:4] == [2, 1, 2, 1]
    assert timedelta(seconds=90) <= stats["oldest_pending_age"] < timedelta(seconds=150)


def test_claim_next_job_promotes_only_jobs_that_became_due(rows: Rows) -> None:
    first, ready = rows.add_job(priority=9), rows.add_job()
    over, later = rows.add_job(status="cancelled"), rows.add_job()
    rows.all("ALTER TABLE coding_jobs DISABLE TRIGGER on_job_run_at")
    rows.all("UPDATE coding_jobs SET run_at = now() - interval '1 s'")
    rows.all("UPDATE coding_jobs SET due = false WHERE id = ANY (%s)", [[over, later]])
    rows.all("UPDATE coding_jobs SET run_at = now() + interval '1 hour' WHERE id = %s", [later])
    versions = "SELECT id, xmin::text FROM coding_jobs WHERE id <> %s ORDER BY id"
    before = rows.all(versions, [first])

    claimed = claim(rows)

    assert claimed and claimed["job_id"] == first
    assert rows.all(versions, [first]) == before
    assert not rows.job(over)["due"] and rows.status(ready) == "pending"

"""`mobvibe jobs retry|cancel|replay`."""

from uuid import UUID, uuid4

from tests.support.commands import Run
from tests.support.rows import Rows


def test_a_job_is_replayed_with_changes(run: Run, rows: Rows) -> None:
    old = rows.add_job(status="failed", payload={"n": 1}, prompt="paint it blue")

    result = run("jobs", "replay", str(old), "--payload", '{"n": 2}', "--prompt", "red", "--reason", "blue is out")

    copy = rows.job(UUID(result.out.strip()))
    assert (copy["payload"], copy["prompt"], copy["status"]) == ({"n": 2}, "red", "pending")
    assert rows.one("SELECT job_id, copy, reason FROM job_audit") == {
        "job_id": old, "copy": copy["id"], "reason": "blue is out"
    }  # fmt: skip


def test_a_replay_without_changes_is_an_exact_copy(run: Run, rows: Rows) -> None:
    old = rows.value("INSERT INTO coding_jobs (payload, prompt) VALUES ('{\"n\": 1.10}', 'x') RETURNING id")

    run("jobs", "replay", str(old))

    assert rows.all("SELECT DISTINCT payload::text, prompt FROM coding_jobs") == [
        {"payload": '{"n": 1.10}', "prompt": "x"}
    ]


def test_a_replay_that_cannot_be_is_one_line(run: Run, rows: Rows) -> None:
    job_id = str(uuid4())

    missing = run("jobs", "replay", job_id)
    assert (missing.code, missing.one_line()) == (1, f"mobvibe: There is no job {job_id}")
    for payload, problem in (("{", "is not JSON"), ("[]", "must be a JSON object")):
        refused = run("jobs", "replay", job_id, "--payload", payload)
        assert (refused.code, problem in refused.err, "Traceback" in refused.err) == (2, True, False)
    assert rows.value("SELECT count(*) FROM coding_jobs") == 0

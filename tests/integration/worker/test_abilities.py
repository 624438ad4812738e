"""What a worker process announces about itself, also after a change."""

from bridge import Job, actor
from tests.support.fleet import Add, Fleet, finished
from tests.support.rows import Rows


def test_an_actor_that_is_declared_while_the_worker_runs_gets_its_jobs(fleet: Fleet, rows: Rows, add: Add) -> None:
    finished(rows, add("double", {"n": 1}))

    @actor(queue_name="late")
    def latecomer(job: Job) -> str:
        return "better than never"

    job_id = rows.add_job(actor="latecomer", queue="late", payload={})

    finished(rows, job_id)
    assert rows.job(job_id)["result"] == "better than never"
    assert rows.value("SELECT queues FROM workers") == ["default", "late", "tests"]
    assert rows.value("SELECT actor_options -> 'latecomer' FROM workers") == {"queue": "late", "max_retries": 3}

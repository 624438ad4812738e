"""The Python methods with the names of the Node worker's functions."""

from tests.support.rows import Rows
from tests.support.steps import Steps


def test_the_node_workers_methods_exist_in_python(steps: Steps, rows: Rows) -> None:
    queue = steps.queue
    job_id = rows.add_job(prompt="hello", max_retries=1)

    claimed = queue.claim_next_job()
    assert claimed is not None
    assert (claimed.job_id, claimed.prompt, claimed.priority) == (job_id, "hello", 0)
    assert queue.claim_next_job() is None
    assert queue.fail_job(job_id, "no") is False
    queue.complete_job(job_id)
    stats = queue.get_queue_stats()
    assert (stats.failed_count, stats.completed_count, stats.oldest_pending_age, stats.success_rate) == (
        1,
        0,
        None,
        0.0,
    )

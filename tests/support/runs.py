"""Runs of jobs that nobody inserted, for what a worker process does with them."""

from uuid import uuid4

from bridge.job import Attempt
from bridge.postgres.attempts import AttemptKey
from bridge.worker.runs import Run


def new_run(key: AttemptKey | None = None, *, is_last: bool = False) -> Run:
    """A run of the first attempt; of a job of its own where no key is given."""
    key = key or AttemptKey(uuid4(), 1, uuid4())
    attempt = Attempt(key.job_id, None, None, {}, priority=0, number=1, is_last=is_last, queue="tests", actor="nap")
    return Run(key, attempt)

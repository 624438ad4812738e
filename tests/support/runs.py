"""Runs without jobs in Postgres, for tests of code in a worker process."""

from uuid import uuid4

from bridge.job import Attempt
from bridge.postgres.attempts import AttemptKey
from bridge.worker.runs import Run


def new_run(key: AttemptKey | None = None, *, is_last: bool = False) -> Run:
    """A run of a first attempt, without `key` of a job of its own."""
    key = key or AttemptKey(uuid4(), 1, uuid4())
    attempt = Attempt(key.job_id, None, None, {}, priority=0, number=1, is_last=is_last, queue="tests", actor="nap")
    return Run(key, attempt)

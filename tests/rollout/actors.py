"""The actors package of a rollout, of an application that imports what both releases have."""

import os
import time
from pathlib import Path

from bridge import Job, Retry, actor
from bridge.broker import connect_broker

connect_broker()
_RUNS = Path(os.environ.get("ROLLOUT_RUNS", os.devnull))


def _note(what: str, job: Job) -> None:
    with _RUNS.open("a") as file:
        file.write(f"{what} {job.id} {job.fence} {time.time()}\n")


@actor(queue_name="rollout", max_retries=3, min_backoff=100)
def work(job: Job) -> None:
    """Take `seconds`; fail at the first attempt if the payload says so."""
    _note("start", job)
    time.sleep(job.payload["seconds"])
    if job.payload["fails"] and job.attempt == 1:
        raise Retry("as the payload asked")
    _note("end", job)

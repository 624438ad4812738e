"""The actors of a run: each run of a job is one line in a file outside."""

import os
from pathlib import Path

from bridge import Job, actor
from bridge.broker import connect_broker
from tests.fuzz.messages import QUEUE

connect_broker()


@actor(queue_name=QUEUE)
def write_down(job: Job) -> dict[str, int]:
    with Path(os.environ["FUZZ_FILE"]).open("a") as file:
        file.write(f"{job.id}\n")
    return {"fence": job.fence}


@actor(queue_name=QUEUE)
def never_asked_for(job: Job) -> None:
    """Only forged messages name it, and no job is its."""
    with Path(os.environ["FUZZ_FILE"]).open("a") as file:
        file.write(f"forged {job.id}\n")

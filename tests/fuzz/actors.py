"""The actors of a run. Each run of a job writes one line into a file outside the stores."""

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
    """Only forged messages name this actor; no job does."""
    with Path(os.environ["FUZZ_FILE"]).open("a") as file:
        file.write(f"forged {job.id}\n")

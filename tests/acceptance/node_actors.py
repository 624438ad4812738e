"""The actor of the Node worker's jobs, as it may be after a move: the prompt says how many seconds it takes."""

import time

from bridge import Fail, Job, actor
from bridge.broker import connect_broker

connect_broker()


@actor(queue_name="coding")
def run_coding_session(job: Job) -> None:
    if job.prompt == "fail":
        raise Fail("it cannot be done")
    until = time.monotonic() + float(job.prompt or 0)
    while time.monotonic() < until:
        time.sleep(0.02)

"""Actors of the acceptance tests, in a module of their own as a user would add it."""

import ctypes
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dramatiq

from bridge import Job, actor
from bridge.runtime import watchdog
from bridge.worker import process
from bridge.worker.middleware import JobMiddleware

process.UNRESPONSIVE_SECONDS = float(os.environ.get("TEST_DEAF_SECONDS", process.UNRESPONSIVE_SECONDS))
watchdog.STALLED_SECONDS = float(os.environ.get("TEST_STANDS_SECONDS", watchdog.STALLED_SECONDS))


@actor(queue_name="topic")
def write_line(job: Job) -> None:
    """Append one line per run to a file: a record of what really ran, outside the stores."""
    with Path(job.payload["file"]).open("a") as file:
        file.write(f"{job.id} {job.fence}\n")


@actor(queue_name="topic")
def write_line_and_wait(job: Job) -> dict[str, int]:
    """Write the line, and run on until a file appears."""
    with Path(job.payload["file"]).open("a") as file:
        file.write(f"{job.id} {job.fence}\n")
    gate = Path(job.payload["gate"])
    while not gate.exists():
        time.sleep(0.02)
    return {"fence": job.fence}


@actor(queue_name="topic")
def write_line_slowly(job: Job) -> None:
    """Write the line after some milliseconds."""
    write_line.fn(job)
    time.sleep(job.payload["ms"] / 1000)


@actor(queue_name="topic", max_retries=3)
def kill_the_process(job: Job) -> None:
    """End the process as memory exhaustion, a crash in C or an `exit()` would."""
    with Path(job.payload["file"]).open("a") as file:
        file.write(f"{job.id} {job.fence}\n")
    if "signal" in job.payload:
        os.kill(os.getpid(), job.payload["signal"])
    os._exit(job.payload.get("code", 9))


def ignore_interrupts(job: Job) -> None:
    """Run in a call that no exception reaches, or catch each interrupt and run on."""
    write_line.fn(job)
    if job.payload["how"] == "call":
        time.sleep(600)
    while True:
        try:  # noqa: SIM105 -- as bad code does
            time.sleep(0.02)
        except BaseException:  # noqa: BLE001, S110 -- as bad code does
            pass


deaf = actor(queue_name="topic", actor_name="deaf")(ignore_interrupts)
deaf_with_limit = actor(queue_name="topic", actor_name="deaf_with_limit", time_limit=300)(ignore_interrupts)


@dramatiq.actor
def add(left: int, right: int) -> int:
    """A plain Dramatiq actor, written before the bridge was used."""
    return left + right


@actor(queue_name="topic")
def hold_the_gil(job: Job) -> None:
    """Hold the GIL, as a long call into C does: no other thread runs."""
    write_line.fn(job)
    ctypes.PyDLL(None).sleep(job.payload["seconds"])


@actor(queue_name="topic")
def compute(job: Job) -> None:
    """Compute in Python all the time: other threads still run."""
    write_line.fn(job)
    gate = Path(job.payload["gate"])
    while not gate.exists():
        sum(range(100_000))


@actor(queue_name="topic")
def hold_the_reports(job: Job) -> None:
    """Block the loop that writes reports, as a deadlock would."""
    (job_middleware,) = (one for one in dramatiq.get_broker().middleware if isinstance(one, JobMiddleware))
    writer = job_middleware.process.reports._writer
    write, gate = writer._write, Path(job.payload["gate"])

    def wait(items: Sequence[Any]) -> None:
        while not gate.exists():
            time.sleep(0.02)
        write(items)

    writer._write = wait

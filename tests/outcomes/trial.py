"""Tries one way to end: inserts the job, and compares its outcome with the expected one."""

import re
import signal
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from tests.outcomes.ends import End
from tests.outcomes.world import SLOTS, World

_SECONDS = 120.0
_LINES_MOST = 25  # about one job; a loop would log more
# Retries run without the backoff, which other tests measure.
_HASTEN = "UPDATE coding_jobs SET run_at = clock_timestamp() WHERE status = 'pending' AND run_at > clock_timestamp()"
_OVER = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Seen:
    """The outcome of the job, and each difference from the expected one."""

    status: str
    error: str | None
    ledger: tuple[str, ...]
    log: tuple[str, ...]
    wrong: list[str]


def attempt(world: World, end: End) -> Seen:
    offset, worker, processes = world.log_size(), world.registered(), world.process_count()
    job = world.rows.add_job(actor=end.actor, queue="default", payload=end.payload, max_retries=2)
    try:
        _wait_for_the_end(world, end, job)
        late = _slots(world, end, worker)
        world.wait(10, lambda: world.process_count() == processes, "end of processes left behind")
    except TimeoutError as error:
        late = [str(error)]
    row, ledger = world.rows.job(job), _ledger(world, end, job)
    lines = [line for line in world.log_since(offset) if line.get("jobId") == str(job)]
    logged = tuple(dict.fromkeys(line["text"] for line in lines))
    wrong = [*late, *_differences(end, row, ledger, logged)]
    if len(lines) > _LINES_MOST:
        wrong.append(f"{len(lines)} log lines")
    return Seen(row["status"], row["error_message"], ledger, logged, wrong)


def _wait_for_the_end(world: World, end: End, job: UUID) -> None:
    if end.is_cancelled or end.is_stopped:
        world.wait(_SECONDS, lambda: world.rows.job(job)["started_at"] is not None, "start")
    if end.is_cancelled:
        world.rows.all("SELECT cancel_job(%s)", [job])
    if end.is_stopped:
        world.worker.send(signal.SIGTERM)

    def is_over() -> bool:
        world.rows.all(_HASTEN)
        return world.rows.status(job) in _OVER

    world.wait(_SECONDS, is_over, "end")


def _slots(world: World, end: End, worker: str | None) -> list[str]:
    """Check that as many jobs run at the same time as the worker has slots."""
    if end.ends_process:
        world.wait(30, lambda: world.registered() not in (None, worker), "new worker process")
    meeting = {"meeting": str(uuid4()), "parties": SLOTS}
    jobs = [world.rows.add_job(actor="meets", queue="default", payload=meeting) for _ in range(SLOTS)]

    def have_all_met() -> bool:
        world.rows.all(_HASTEN)
        return all(world.rows.status(job) in _OVER for job in jobs)

    world.wait(60, have_all_met, f"end of {SLOTS} jobs beside each other")
    if not end.ends_process and world.registered() != worker:
        return ["the worker process ended"]
    return []


def _ledger(world: World, end: End, job: UUID) -> tuple[str, ...]:
    """The outcomes of the attempts, without those that a process which was ending got meanwhile and handed back."""
    outcomes = world.rows.outcomes(job)
    return tuple(one for one in outcomes if not (end.ends_process and one == "released" != end.ledger[0]))


def _differences(end: End, row: dict[str, Any], ledger: tuple[str, ...], logged: tuple[str, ...]) -> list[str]:
    wrong = []
    if row["status"] != end.status:
        wrong.append(f"status {row['status']}, not {end.status}")
    if ledger != end.ledger:
        wrong.append(f"ledger {ledger}, not {end.ledger}")
    if row["result"] != end.result:
        wrong.append(f"result {str(row['result'])[:80]}, not {end.result}")
    error = row["error_message"]
    if (error is None) != (end.error is None) or (end.error and not re.search(end.error, error)):
        wrong.append(f"error {str(error)[:200]!r}, not {end.error!r}")
    wrong += [f"no line {line!r} in {logged}" for line in end.log if line not in logged]
    return wrong

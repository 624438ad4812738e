"""Drain: jobs are there, workers start, and are done with all of them, as the stores see it."""

from pathlib import Path

from bench.contestants import Contestant
from bench.fleet import open_fleet
from bench.stores import Stores


def drain(contestant: Contestant, stores: Stores, work: Path, jobs: int | None = None) -> float:
    """Jobs a second, from the first job's beginning to the moment when none is left unfinished.

    Raises RuntimeError when a job was lost or ran twice.
    """
    jobs = jobs or contestant.jobs
    with open_fleet(contestant, stores, work) as fleet:
        fleet.client("fill", str(jobs))
        fleet.start()
        fleet.wait("the first job", lambda: fleet.done() > 0, 60)
        fleet.wait("the last job", lambda: fleet.done() >= jobs, 300)
        ended = fleet.wait("the last report", lambda: fleet.unfinished() == 0, 60)
        records = list(fleet.reader.read())
        keys = {key for key, _ in records}
        if len(records) != jobs or len(keys) != jobs:
            raise RuntimeError(f"{contestant.name}: {jobs} jobs, {len(records)} runs of {len(keys)}")
        return jobs / (ended - min(when for _, when in records))

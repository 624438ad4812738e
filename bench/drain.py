"""Drain: jobs are inserted, then workers start and run all of them, according to the stores."""

from collections.abc import Sequence

from bench.contestants import CONTESTANTS, Contestant
from bench.fleet import open_fleet
from bench.ledger import check_ledger
from bench.run import Run


def measure(run: Run, names: Sequence[str]) -> dict[str, list[float]]:
    """Jobs a second, by contestant and round. Rounds are interleaved, because the machine's speed changes over time."""
    rates: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1, run.plan.drain_rounds + 1):
        for name in run.plan.of_round(number, names):
            with run.part(f"drain, round {number}, {name}"):
                contestant = CONTESTANTS[name]
                rates[name].append(drain(run, contestant, int(contestant.jobs * run.plan.drain_share)))
    return rates


def drain(run: Run, contestant: Contestant, jobs: int) -> float:
    """Jobs a second, from the first job's beginning to the moment when none is left unfinished.

    Raises RuntimeError if a job was lost or ran twice; for this project also if rows or ledger show it.
    """
    with open_fleet(contestant, run.stores, run.work) as fleet:
        fleet.client("fill", str(jobs))
        fleet.start()
        fleet.wait("the first job", lambda: fleet.done() > 0, 60)
        fleet.wait("the last job", lambda: fleet.done() >= jobs, 300)
        ended = fleet.wait("the last report", lambda: fleet.unfinished() == 0, 60)
        records = list(fleet.reader.read())
        keys = {key for key, _ in records}
        if len(records) != jobs or len(keys) != jobs:
            raise RuntimeError(f"{contestant.name}: {jobs} jobs, {len(records)} runs of {len(keys)}")
        if contestant.migrated:
            check_ledger(fleet.connection, jobs)
        return jobs / (ended - min(when for _, when in records))

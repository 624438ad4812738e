"""Faults: the drain of a backlog at one fault a second, compared with the same drain without faults.

It uses the processes of the fault campaign (tests/campaign): stores behind proxies, two bridges, workers that are
restarted. Faults that stop a store are left out, because they would measure how long it was stopped; so are those that
stop all workers at once. The others are as frequent as in the campaign. Its checker must find no broken promise.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from bench.run import Run
from tests.campaign.evidence import Evidence
from tests.campaign.experiments.testbed import Testbed, open_testbed
from tests.campaign.fault_runner import FaultRunner
from tests.campaign.faults import WEIGHTS
from tests.campaign.plan import Batch, Kind, PlannedFault, PlannedJob
from tests.campaign.world import Size

KINDS = (
    "kill -9 of a worker", "SIGSTOP of a worker, short", "kill -9 of a bridge", "FLUSHALL",
    "some sessions of Postgres ended", "Postgres links reset", "Redis links reset", "messages delivered twice",
)  # fmt: skip
_SIZE = Size(bridges=2, supervised_processes=3, plain_processes=1, threads=8, lease_ms=30_000)  # the default lease
_NAP_SECONDS = 0.03
_COUNTED = 0.9  # of the jobs: the last ones wait for the end of retries' pauses, which is no throughput
_MOST_SECONDS = 180
_ASK_SECONDS = 0.2


@dataclass(frozen=True)
class Faults:
    """Jobs a second, by round."""

    calm: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)


def measure(run: Run) -> Faults:
    found = Faults()
    for number in range(1, run.plan.fault_rounds + 1):
        for is_calm in (True, False) if number % 2 else (False, True):
            with run.part(f"faults, round {number}, {'calm' if is_calm else 'a fault a second'}"):
                faults = [] if is_calm else _planned(number)
                (found.calm if is_calm else found.faults).append(_drain(run.plan.fault_jobs, faults))
    return found


def _planned(seed: int) -> list[PlannedFault]:
    """The same faults in each run."""
    dice = random.Random(seed)  # noqa: S311
    kinds = dice.choices(KINDS, [WEIGHTS[kind] for kind in KINDS], k=_MOST_SECONDS)
    return [PlannedFault(float(second), kind, dice.getrandbits(32)) for second, kind in enumerate(kinds)]


def _drain(jobs: int, faults: Sequence[PlannedFault]) -> float:
    dice = random.Random(jobs)  # noqa: S311
    naps = [PlannedJob(UUID(int=dice.getrandbits(128), version=4), Kind.NAP, payload={"seconds": _NAP_SECONDS})
            for _ in range(jobs)]  # fmt: skip
    with open_testbed(_SIZE, [Batch(0, naps)]) as testbed:
        fault_runner = FaultRunner(testbed.world, faults)
        testbed.rest(60, lambda: testbed.inserter.sent)
        fault_runner.start_clock()
        _rest_until_ended(testbed, fault_runner, int(jobs * _COUNTED))
        fault_runner.heal_all()
        evidence, verdict = testbed.finish()
    if not verdict.holds:
        raise RuntimeError("; ".join(f"{name}: {len(cases)}" for name, cases in verdict.violations.items() if cases))
    return rate(evidence, int(jobs * _COUNTED))


def _rest_until_ended(testbed: Testbed, fault_runner: FaultRunner, jobs: int) -> None:
    asked_at = 0.0
    with testbed.world.connect() as connection:

        def have_ended() -> bool:
            nonlocal asked_at
            fault_runner.tick()
            if time.monotonic() - asked_at < _ASK_SECONDS:
                return False
            asked_at = time.monotonic()
            row = connection.execute("SELECT count(*) FROM coding_jobs WHERE status = 'completed'").fetchone()
            return row is not None and row[0] >= jobs

        if not testbed.rest(_MOST_SECONDS, have_ended):
            raise RuntimeError(f"{jobs} jobs had not ended after {_MOST_SECONDS} s")


def rate(evidence: Evidence, jobs: int) -> float:
    """Jobs a second, from the first one's beginning until `jobs` have reached their last line."""
    began = min(effect.at for effect in evidence.effects if effect.what == "start")
    ends = sorted(effect.at for effect in evidence.effects if effect.what == "end")
    return jobs / (ends[jobs - 1] - began)

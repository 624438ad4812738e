"""What every experiment needs: stores and processes under an even load, and the checker at the end."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.campaign.campaign import settle
from tests.campaign.checker import Verdict, judge
from tests.campaign.collect import collect, set_witness
from tests.campaign.evidence import Evidence, Fault
from tests.campaign.load import Inserter
from tests.campaign.plan import Batch, Kind, PlannedJob
from tests.campaign.world import Size, World, keep_logs, open_world

SEED = 7
_CASES_SHOWN = 10


@dataclass(frozen=True)
class Figure:
    """The result of an experiment; `holds` is False if its records break a promise."""

    name: str
    text: str
    holds: bool
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass
class Testbed:
    world: World
    inserter: Inserter
    faults: list[Fault] = field(default_factory=list)

    def rest(self, seconds: float, until: Callable[[], object] = lambda: False) -> bool:
        """Keep everything running for `seconds`, or until the condition holds. Returns whether it held."""
        return self.world.keep_going(seconds, until)

    def finish(self, *, rate: float = 100.0) -> tuple[Evidence, Verdict]:
        """Stop the load, wait for the last jobs (at least `rate` must end per second), and check the records."""
        self.inserter.stop()
        settle(self.world, rate)
        evidence = collect(self.world, self.inserter.sent, self.faults)
        verdict = judge(evidence)
        for name, cases in verdict.violations.items():
            for case in cases[:_CASES_SHOWN]:
                sys.stderr.write(f"  {name}: {case}\n")
        if not verdict.holds:
            keep_logs(self.world.folder, Path(".campaign") / "experiment")
        return evidence, verdict


def even_load(rate: float, seconds: float, kind: Kind, each: float = 0.0) -> list[Batch]:
    """`rate` jobs a second, one per transaction, each of which takes `each` seconds."""
    dice = random.Random(SEED)
    payload = {"seconds": each}
    return [
        Batch(n / rate, [PlannedJob(UUID(int=dice.getrandbits(128), version=4), kind, payload=payload)])
        for n in range(int(rate * seconds))
    ]


@contextmanager
def open_testbed(size: Size, batches: Sequence[Batch]) -> Iterator[Testbed]:
    with open_world(size, SEED) as world:
        set_witness(world)
        testbed = Testbed(world, Inserter(world, batches))
        testbed.inserter.start()
        yield testbed

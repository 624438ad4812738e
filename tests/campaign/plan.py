"""The plan of a campaign: jobs and faults, determined by the seed."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

_BATCH_MOST = 9
_ROLLED_BACK = 0.03
_PATIENCE = 50  # retries: every crash spends one, and an ordinary job must get through hundreds of faults


class Kind(StrEnum):
    """What a job does, which is also the actor's name."""

    QUICK = "quick"
    NAP = "nap"
    FLAKY = "flaky"
    HOPELESS = "hopeless"
    LONG = "long"
    CANCELLED = "cancelled"
    POISON = "poison"


_SHARES = {
    Kind.QUICK: 0.80, Kind.NAP: 0.13, Kind.FLAKY: 0.05, Kind.HOPELESS: 0.01, Kind.LONG: 0.003, Kind.CANCELLED: 0.0068,
    Kind.POISON: 0.0002,
}  # fmt: skip
RETRIES = {Kind.POISON: 3}
_LATER = 0.05
_IN_SESSIONS = 0.2  # of the transactions: their jobs share a session, and emit events in it
# The statuses in which each kind may end.
ENDS: Mapping[Kind, frozenset[str]] = {
    Kind.QUICK: frozenset({"completed"}),
    Kind.NAP: frozenset({"completed"}),
    Kind.FLAKY: frozenset({"completed"}),
    Kind.LONG: frozenset({"completed"}),
    Kind.HOPELESS: frozenset({"failed"}),
    Kind.POISON: frozenset({"failed"}),
    Kind.CANCELLED: frozenset({"cancelled", "completed"}),
}


@dataclass(frozen=True, slots=True)
class PlannedJob:
    id: UUID
    kind: Kind
    priority: int = 0
    payload: Mapping[str, Any] = field(default_factory=dict)
    max_retries: int = _PATIENCE
    run_after: float | None = None  # seconds
    cancel_after: float | None = None  # seconds after its insert
    session: UUID | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction of the load."""

    at: float  # seconds from the beginning
    jobs: Sequence[PlannedJob]
    commits: bool = True


@dataclass(frozen=True, slots=True)
class PlannedFault:
    at: float
    kind: str
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    batches: Sequence[Batch]
    faults: Sequence[PlannedFault]

    @property
    def jobs(self) -> int:
        """How many jobs are to be committed."""
        return sum(len(batch.jobs) for batch in self.batches if batch.commits)

    def fingerprint(self) -> str:
        """Two plans with the same fingerprint are equal."""
        return hashlib.sha256(repr((self.batches, self.faults)).encode()).hexdigest()[:12]


def make_plan(
    seed: int, *, jobs: int, faults: int, load_seconds: float, calm_seconds: float, weights: Mapping[str, float]
) -> Plan:
    """Jobs are spread evenly over `load_seconds`. Faults follow after `calm_seconds`, each kind by its weight."""
    dice = random.Random(seed)
    batches = _batches(dice, jobs, load_seconds)
    kinds = list(weights) if faults >= len(weights) else []  # each kind at least once, where there is room for it
    kinds += dice.choices(list(weights), list(weights.values()), k=faults - len(kinds))
    dice.shuffle(kinds)
    moments = sorted(dice.uniform(calm_seconds, load_seconds) for _ in range(faults))
    planned = [PlannedFault(at, kind, dice.getrandbits(32)) for at, kind in zip(moments, kinds, strict=True)]
    return Plan(batches, planned)


def _batches(dice: random.Random, jobs: int, load_seconds: float) -> list[Batch]:
    kinds = dice.choices(list(_SHARES), list(_SHARES.values()), k=jobs)
    if jobs >= 1000:  # each kind at least once, whatever the seed
        kinds[100:107] = list(Kind)
    batches: list[Batch] = []
    done = 0
    while done < jobs:
        at = load_seconds * done / jobs
        if dice.random() < _ROLLED_BACK:
            batches.append(Batch(at, [_job(dice, Kind.QUICK)], commits=False))
        size = min(dice.randint(1, _BATCH_MOST), jobs - done)
        session = _uuid(dice) if dice.random() < _IN_SESSIONS else None
        batches.append(Batch(at, [_job(dice, kind, session) for kind in kinds[done : done + size]]))
        done += size
    return batches


def _job(dice: random.Random, kind: Kind, session: UUID | None = None) -> PlannedJob:
    payload: dict[str, Any] = {}
    cancel_after = None
    match kind:
        case Kind.NAP:
            payload["seconds"] = round(dice.uniform(0.02, 0.05), 3)
        case Kind.FLAKY:
            payload["failures"] = dice.randint(1, 2)
        case Kind.LONG:
            payload["seconds"] = round(dice.uniform(2, 5), 1)
        case Kind.CANCELLED:
            payload["seconds"] = 4
            cancel_after = round(dice.uniform(0, 3), 2)
        case Kind.POISON:
            payload["exit"] = dice.choice((9, 0, 1, 2, 4, None))  # None: by SIGSEGV, as C code does
    later = dice.random() < _LATER
    return PlannedJob(
        id=_uuid(dice),
        kind=kind,
        priority=dice.choice((0, 0, 0, 0, -1, 1, 5, 10)),
        payload=payload,
        max_retries=RETRIES.get(kind, _PATIENCE),
        run_after=round(dice.uniform(0.2, 5), 2) if later else None,
        cancel_after=cancel_after,
        session=session,
    )


def _uuid(dice: random.Random) -> UUID:
    return UUID(int=dice.getrandbits(128), version=4)

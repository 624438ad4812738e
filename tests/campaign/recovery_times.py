"""How long the effect of each fault lasted, according to the records, not to what the fault was meant to do."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from tests.campaign.evidence import Attempt, Effect, Evidence, Fault

_CUT_SHORT = frozenset({"crashed", "released", "reclaimed"})
_LONG_AGO = 300.0  # an attempt that ended later than this after a fault was not ended by it


@dataclass(frozen=True)
class Spread:
    """Seconds."""

    count: int
    p50: float
    p99: float
    most: float


def shown(value: Spread | None) -> str:
    """As p50 / p99 / max and the number of cases; empty if nothing was measured."""
    if value is None:
        return ""
    return f"{value.p50:.2f} / {value.p99:.2f} / {value.most:.2f} ({value.count})"


def spread(seconds: Sequence[float]) -> Spread | None:
    """None if nothing was measured."""
    if not seconds:
        return None
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Spread(len(ordered), at(0.5), at(0.99), ordered[-1])


@dataclass(frozen=True)
class Recovery:
    """The times of recovery from faults of one kind."""

    faults: int
    next_claim: Spread | None  # from the fault, or from the store's return, to the next claim by anybody
    taken_back: Spread | None  # from the fault to the end of each attempt it cut short
    next_start: Spread | None  # from the fault to the next start of each job whose attempt or hand-over it ended


def recoveries(evidence: Evidence) -> dict[str, Recovery]:
    """By kind of fault."""
    records = _Records(evidence)
    kinds: defaultdict[str, list[Fault]] = defaultdict(list)
    for fault in evidence.faults:
        kinds[fault.kind].append(fault)
    return {kind: records.recovery(faults) for kind, faults in sorted(kinds.items())}


class _Records:
    def __init__(self, evidence: Evidence) -> None:
        self._claims = sorted(attempt.claimed_at for attempt in evidence.attempts)
        self._starts: defaultdict[UUID, list[Effect]] = defaultdict(list)
        for effect in sorted(evidence.effects, key=lambda one: one.at):
            if effect.what == "start":
                self._starts[effect.job].append(effect)
        self._of_pid: defaultdict[int, list[Attempt]] = defaultdict(list)
        for attempt in evidence.attempts:
            if attempt.worker_pid is not None and attempt.outcome in _CUT_SHORT:
                self._of_pid[attempt.worker_pid].append(attempt)

    def recovery(self, faults: Sequence[Fault]) -> Recovery:
        claims, ends, starts = [], [], []
        for fault in faults:
            if fault.next_claim_since is not None and (claim := self._next_claim(fault.next_claim_since)) is not None:
                claims.append(claim - fault.next_claim_since)
            for attempt in self._cut_short(fault):
                ends.append(attempt.finished_at - fault.began)
                if (start := self._next_start(attempt.job, fault.began, attempt.fence + 1)) is not None:
                    starts.append(start - fault.began)
            for job, fence in fault.handed:
                if (start := self._next_start(job, fault.began, fence)) is not None:
                    starts.append(start - fault.began)
        return Recovery(len(faults), spread(claims), spread(ends), spread(starts))

    def _cut_short(self, fault: Fault) -> list[Attempt]:
        """Attempts that ran in a process when the fault hit it, and that this process did not report."""
        return [
            attempt
            for pid in fault.pids
            for attempt in self._of_pid[pid]
            if attempt.started_at is not None
            and attempt.started_at <= fault.began < attempt.finished_at < fault.began + _LONG_AGO
        ]

    def _next_claim(self, since: float) -> float | None:
        n = bisect_right(self._claims, since)
        return self._claims[n] if n < len(self._claims) else None

    def _next_start(self, job: UUID, since: float, fence: int) -> float | None:
        return next((one.at for one in self._starts[job] if one.at >= since and one.fence >= fence), None)


def throughput(evidence: Evidence, since: float, until: float) -> float:
    """Runs that reached their last line, per second."""
    ends = sum(1 for effect in evidence.effects if effect.what == "end" and since <= effect.at < until)
    return ends / (until - since) if until > since else 0.0


def as_numbers(one: Recovery) -> Mapping[str, object]:
    return {
        "faults": one.faults,
        **{
            name: None if value is None else {"n": value.count, "p50": value.p50, "p99": value.p99, "max": value.most}
            for name, value in (
                ("next_claim", one.next_claim), ("taken_back", one.taken_back), ("next_start", one.next_start)
            )
        },
    }  # fmt: skip

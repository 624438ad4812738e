"""Everything that is known after a campaign: facts, without a verdict. Times are epoch seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from tests.campaign.plan import Kind


class Fate(StrEnum):
    """The result of the transaction that inserted a job, as far as its client knows it."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    UNKNOWN = "unknown"  # the link broke in the middle: all of it is there, or nothing


@dataclass(frozen=True, slots=True)
class Sent:
    """A job as its client inserted it."""

    id: UUID
    kind: Kind
    fate: Fate
    at: float


@dataclass(frozen=True, slots=True)
class Row:
    """The job's row at the end."""

    id: UUID
    status: str
    fence: int
    exec: UUID | None
    result: Mapping[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of the ledger. `worker_pid` is the id of the process that was registered as its worker."""

    job: UUID
    fence: int
    exec: UUID | None
    worker_pid: int | None
    claimed_at: float
    started_at: float | None
    finished_at: float
    outcome: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """A line that an actor wrote: `start` at its beginning, `end` at its end."""

    what: str
    job: UUID
    fence: int
    exec: UUID
    pid: int
    at: float


@dataclass(slots=True)
class Fault:
    """One injected fault: when it began, when it was healed, and which processes it hit, as far as known then."""

    kind: str
    began: float
    healed: float | None = None
    pids: list[int] = field(default_factory=list)  # worker processes that died, or were frozen past their lease
    handed: list[tuple[UUID, int]] = field(default_factory=list)  # hand-overs that were in Redis when it was lost
    next_claim_since: float | None = None  # since when the next claim is awaited, if it is measured
    note: str = ""


@dataclass(slots=True)
class Evidence:
    sent: Sequence[Sent]
    rows: Mapping[UUID, Row]
    attempts: Sequence[Attempt]
    effects: Sequence[Effect]
    faults: Sequence[Fault] = ()
    lost_pids: Sequence[int] = ()  # processes of workers that were declared lost
    afterthoughts: Sequence[str] = ()  # changes to rows that were final, as a trigger saw them
    broken_invariants: Mapping[str, Sequence[object]] = field(default_factory=dict)

"""The checker: finds broken promises, from the records alone."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from uuid import UUID

from tests.campaign.evidence import Attempt, Effect, Evidence, Fate, Row, Sent
from tests.campaign.plan import ENDS, RETRIES, Kind

TERMINAL = frozenset({"completed", "failed", "cancelled"})
_MAY_RUN_AGAIN = frozenset({"crashed", "released", "reclaimed", "failed"})
_CLOCK_SLACK = 0.05  # between the time in a row and the time that an actor writes, on one machine


@dataclass
class Verdict:
    """Each list names the cases in which a promise was broken, one line each."""

    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    second_terminal: list[str] = field(default_factory=list)
    double_starts: list[str] = field(default_factory=list)
    unexplained_runs: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    broken_invariants: list[str] = field(default_factory=list)
    starts_per_attempt: int = 0
    extra_runs: int = 0
    duplicate_runs: int = 0  # extra runs after a crash or a release, not after a failure

    unknown_inserts: int = 0  # the client never learned the result of its transaction
    unknown_committed: int = 0  # of those, the ones that were committed
    crashes: Counter[int] = field(default_factory=Counter)  # how often a job crashed → how many jobs, poison aside
    living_lost: int = 0  # workers declared lost though nothing had killed or frozen them: their links had faults

    @property
    def violations(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "stale accepted": self.stale,
            "second terminal": self.second_terminal,
            "attempts started twice": self.double_starts,
            "runs that nothing in the ledger explains": self.unexplained_runs,
            "jobs of rolled-back transactions": self.ghosts,
            "broken invariants": self.broken_invariants,
        }

    @property
    def holds(self) -> bool:
        return self.jobs > 0 and not any(self.violations.values())


def judge(evidence: Evidence) -> Verdict:
    """Check every promise. Violations are collected in the verdict, not raised."""
    attempts: defaultdict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in sorted(evidence.attempts, key=lambda one: one.fence):
        attempts[attempt.job].append(attempt)
    starts: defaultdict[UUID, list[Effect]] = defaultdict(list)
    ends: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for effect in sorted(evidence.effects, key=lambda one: one.at):
        if effect.what == "start":
            starts[effect.job].append(effect)
        else:
            ends[effect.job].add(effect.exec)

    verdict = Verdict(second_terminal=list(evidence.afterthoughts))
    verdict.broken_invariants = [
        f"{name}: {len(rows)} rows, the first {rows[0]}" for name, rows in evidence.broken_invariants.items()
    ]
    verdict.living_lost = len(set(evidence.lost_pids) - _struck(evidence))
    known = {sent.id for sent in evidence.sent}
    verdict.ghosts += [f"{job}: it is there, and nobody inserted it" for job in evidence.rows if job not in known]
    for sent in evidence.sent:
        row = evidence.rows.get(sent.id)
        verdict.unknown_inserts += sent.fate is Fate.UNKNOWN
        verdict.unknown_committed += sent.fate is Fate.UNKNOWN and row is not None
        ran, ledger = starts[sent.id], attempts[sent.id]
        if sent.fate is Fate.ROLLED_BACK or (sent.fate is Fate.UNKNOWN and row is None):
            if row is not None or ran or ledger:
                verdict.ghosts.append(f"{sent.id}: its transaction was not committed, and yet it is there or ran")
            continue
        verdict.jobs += 1
        verdict.lost += _lost(sent, row, ledger)
        verdict.second_terminal += _second_endings(sent.id, row, ledger)
        verdict.stale += _stale(row, ledger, ran, ends[sent.id])
        _count_starts(verdict, ran)
        verdict.duplicate_runs += _duplicates(ran, ledger)
        if sent.kind is not Kind.POISON:
            verdict.crashes[sum(attempt.outcome == "crashed" for attempt in ledger)] += 1
        verdict.unexplained_runs += _unexplained(sent, ran, ledger)
    return verdict


def _struck(evidence: Evidence) -> set[int]:
    """Processes that a fault killed or froze, or that a poison job ended."""
    poison = {sent.id for sent in evidence.sent if sent.kind is Kind.POISON}
    struck = {pid for fault in evidence.faults for pid in fault.pids}
    return struck | {effect.pid for effect in evidence.effects if effect.job in poison}


def _lost(sent: Sent, row: Row | None, ledger: list[Attempt]) -> Iterator[str]:
    if row is None:
        yield f"{sent.id}: committed, and its row is gone"
    elif row.status not in TERMINAL:
        yield f"{sent.id} ({sent.kind}): still {row.status} at fence {row.fence}"
    elif row.status not in ENDS[sent.kind]:
        yield f"{sent.id} ({sent.kind}): ended as {row.status}: {row.error}"
    elif sent.kind is Kind.POISON and (not ledger or ledger[-1].outcome != "crashed"):
        yield f"{sent.id} (poison): ended as {ledger[-1].outcome if ledger else 'nothing'}, not as crashed"


def _second_endings(job: UUID, row: Row | None, ledger: list[Attempt]) -> Iterator[str]:
    completed = [attempt.fence for attempt in ledger if attempt.outcome == "completed"]
    if len(completed) > 1:
        yield f"{job}: completed at fences {completed}"
    for before, after in pairwise(ledger):
        if before.fence == after.fence:
            yield f"{job}: attempt {before.fence} ended as {before.outcome} and as {after.outcome}"
        elif before.outcome in {"completed", "cancelled"}:
            yield f"{job}: attempt {after.fence} came after the {before.outcome} one"
    if row is not None and row.status == "completed" and (not completed or completed[-1] != row.fence):
        yield f"{job}: completed at fence {row.fence}, which the ledger does not have"


def _stale(row: Row | None, ledger: list[Attempt], ran: list[Effect], ended: set[UUID]) -> Iterator[str]:
    """Endings that were not reported by the attempt's own run, according to the effect log."""
    run_of = {effect.fence: effect for effect in ran}
    for attempt in ledger:
        run = run_of.get(attempt.fence)
        where = f"{attempt.job}: attempt {attempt.fence}"
        if attempt.outcome == "completed" and run is None:
            yield f"{where} is completed and never ran"
        elif attempt.outcome == "completed" and attempt.exec not in ended:
            yield f"{where} is completed and never came to its end"
        elif run is not None and attempt.exec != run.exec:
            yield f"{where} was run as {run.exec} and ended as {attempt.exec}"
        elif run is not None and attempt.worker_pid is not None and attempt.worker_pid != run.pid:
            yield f"{where} was run by process {run.pid} and is recorded as that of {attempt.worker_pid}"
        if attempt.outcome == "failed" and (told := _fence_told(attempt.error)) not in {None, attempt.fence}:
            yield f"{where} failed with the words of attempt {told}"
    if row is not None and row.status == "completed":
        result = row.result or {}
        fence, exec_ = result.get("fence"), result.get("exec")
        if (fence, exec_) != (row.fence, str(row.exec)):
            yield f"{row.id}: at fence {row.fence}, exec {row.exec}, it has the result of fence {fence}, exec {exec_}"


def _fence_told(error: str | None) -> int | None:
    """The fence that the campaign's actors write into their errors."""
    words = (error or "").rsplit("fence ", 1)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


def _count_starts(verdict: Verdict, ran: list[Effect]) -> None:
    fences = [effect.fence for effect in ran]
    for fence in set(fences):
        verdict.starts_per_attempt = max(verdict.starts_per_attempt, fences.count(fence))
        if fences.count(fence) > 1:
            verdict.double_starts.append(f"{ran[0].job}: attempt {fence} started {fences.count(fence)} times")
    verdict.extra_runs += max(0, len(ran) - 1)


def _duplicates(ran: list[Effect], ledger: list[Attempt]) -> int:
    failed = {attempt.fence for attempt in ledger if attempt.outcome == "failed"}
    return sum(1 for before in ran[:-1] if before.fence not in failed)


def _unexplained(sent: Sent, ran: list[Effect], ledger: list[Attempt]) -> Iterator[str]:
    """Every run must have an ending; and before each further run, an ending that allows another run."""
    endings = {attempt.fence: attempt for attempt in ledger}
    if ran and ran[-1].fence not in endings:
        yield f"{sent.id}: attempt {ran[-1].fence} ran and has no ending"
    if sent.kind is Kind.POISON and len(ran) > RETRIES[Kind.POISON]:
        yield f"{sent.id} (poison): it ran {len(ran)} times"
    for before, after in pairwise(ran):
        if before.fence == after.fence:
            continue  # counted as a double start
        ending = endings.get(before.fence)
        where = f"{after.job}: attempt {after.fence} ran"
        if after.fence < before.fence:
            yield f"{where} after attempt {before.fence}"
        elif ending is None:
            yield f"{where}, and attempt {before.fence} before it has no ending"
        elif ending.outcome not in _MAY_RUN_AGAIN:
            yield f"{where} after attempt {before.fence} was {ending.outcome}"
        elif ending.finished_at > after.at + _CLOCK_SLACK:
            yield f"{where} before attempt {before.fence} was {ending.outcome}"

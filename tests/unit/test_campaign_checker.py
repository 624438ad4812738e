"""The campaign's checker finds each violation in forged records, and none in a correct one."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.campaign.checker import judge
from tests.campaign.evidence import Attempt, Effect, Evidence, Fate, Fault, Row, Sent
from tests.campaign.plan import Kind

JOB, FIRST, SECOND = uuid4(), uuid4(), uuid4()


def attempt(fence: int, exec_: UUID | None, outcome: str, **changes: object) -> Attempt:
    at = float(fence * 10)
    made = Attempt(JOB, fence, exec_, 100 + fence, at, at + 1, at + 5, outcome)
    return replace(made, **changes)  # type: ignore[arg-type]


def start(fence: int, exec_: UUID, **changes: object) -> Effect:
    return replace(Effect("start", JOB, fence, exec_, 100 + fence, fence * 10 + 1.0), **changes)  # type: ignore[arg-type]


def records(**changes: object) -> Evidence:
    """A job whose first worker crashed and whose second one completed it."""
    row = Row(JOB, "completed", 2, SECOND, {"fence": 2, "exec": str(SECOND)})
    evidence = Evidence(
        sent=[Sent(JOB, Kind.QUICK, Fate.COMMITTED, 0)],
        rows={JOB: row},
        attempts=[attempt(1, FIRST, "crashed"), attempt(2, SECOND, "completed")],
        effects=[start(1, FIRST), start(2, SECOND), replace(start(2, SECOND), what="end", at=22.0)],
    )
    return replace(evidence, **changes)  # type: ignore[arg-type]


def with_row(**changes: object) -> dict[UUID, Row]:
    return {JOB: replace(records().rows[JOB], **changes)}  # type: ignore[arg-type]


def test_a_clean_record_passes_and_its_extra_run_is_counted() -> None:
    verdict = judge(records())
    assert verdict.violations == {name: [] for name in verdict.violations}
    assert verdict.holds
    assert (verdict.jobs, verdict.starts_per_attempt, verdict.extra_runs, verdict.duplicate_runs) == (1, 1, 1, 1)


def test_a_run_after_a_failure_is_no_duplicate() -> None:
    verdict = judge(records(attempts=[attempt(1, FIRST, "failed"), attempt(2, SECOND, "completed")]))
    assert verdict.holds
    assert (verdict.extra_runs, verdict.duplicate_runs) == (1, 0)


def test_a_campaign_without_jobs_proves_nothing() -> None:
    assert not judge(Evidence(sent=[], rows={}, attempts=[], effects=[])).holds


def test_a_worker_declared_lost_for_no_reason_is_counted() -> None:
    faults = [Fault("kill", 1.0, pids=[11]), Fault("freeze", 2.0, pids=[12])]
    poison = [Sent(JOB, Kind.POISON, Fate.COMMITTED, 0)]
    assert judge(records(lost_pids=[11, 12, 13], faults=faults)).living_lost == 1
    assert judge(records(lost_pids=[101], sent=poison)).living_lost == 0


LATE = replace(start(1, FIRST), at=30.0)
DOCTORED: dict[str, tuple[str, dict[str, Any]]] = {
    "row gone": ("lost", {"rows": {}}),
    "still pending": ("lost", {"rows": with_row(status="pending")}),
    "still processing": ("lost", {"rows": with_row(status="processing")}),
    "wrong end": ("lost", {"rows": with_row(status="failed")}),
    "cancelled by nobody": ("lost", {"rows": with_row(status="cancelled")}),
    "poison that completes": ("lost", {"sent": [Sent(JOB, Kind.POISON, Fate.COMMITTED, 0)]}),
    "poison that fails politely": (
        "lost",
        {
            "sent": [Sent(JOB, Kind.POISON, Fate.COMMITTED, 0)],
            "rows": with_row(status="failed", result=None),
            "attempts": [attempt(1, FIRST, "crashed"), attempt(2, SECOND, "failed")],
        },
    ),
    "unknown commit that is there and lost": (
        "lost",
        {"sent": [Sent(JOB, Kind.QUICK, Fate.UNKNOWN, 0)], "rows": with_row(status="pending")},
    ),
    "completed twice": (
        "second terminal",
        {"attempts": [attempt(1, FIRST, "completed"), attempt(2, SECOND, "completed")]},
    ),
    "one attempt, two endings": (
        "second terminal",
        {"attempts": [*records().attempts, attempt(2, SECOND, "failed")]},
    ),
    "an attempt after the end": (
        "second terminal",
        {"attempts": [attempt(1, FIRST, "cancelled"), attempt(2, SECOND, "completed")]},
    ),
    "completed without a ledger": ("second terminal", {"attempts": [attempt(1, FIRST, "crashed")]}),
    "changed after its end": ("second terminal", {"afterthoughts": ["completed became pending"]}),
    "completed and never ran": ("stale accepted", {"effects": [start(1, FIRST)]}),
    "completed and never came to its end": ("stale accepted", {"effects": [start(1, FIRST), start(2, SECOND)]}),
    "completed without its result": ("stale accepted", {"rows": with_row(result=None)}),
    "ended by another exec": (
        "stale accepted",
        {"attempts": [attempt(1, FIRST, "crashed"), attempt(2, FIRST, "completed")]},
    ),
    "ended by another worker": (
        "stale accepted",
        {"attempts": [attempt(1, FIRST, "crashed"), attempt(2, SECOND, "completed", worker_pid=101)]},
    ),
    "result of the attempt before": ("stale accepted", {"rows": with_row(result={"fence": 1, "exec": str(FIRST)})}),
    "error of the attempt before": (
        "stale accepted",
        {
            "attempts": [
                attempt(1, FIRST, "crashed"),
                attempt(2, SECOND, "failed", error="boom at fence 1"),
                attempt(3, None, "released"),
            ]
        },
    ),
    "started twice": ("attempts started twice", {"effects": [*records().effects, start(2, uuid4(), at=21.5)]}),
    "ran again though completed": (
        "runs that nothing in the ledger explains",
        {"attempts": [attempt(1, FIRST, "completed"), attempt(2, SECOND, "completed")]},
    ),
    "ran again though nothing had ended": (
        "runs that nothing in the ledger explains",
        {"attempts": [attempt(2, SECOND, "completed")]},
    ),
    "ran again before the first had ended": (
        "runs that nothing in the ledger explains",
        {"attempts": [attempt(1, FIRST, "crashed", finished_at=25.0), attempt(2, SECOND, "completed")]},
    ),
    "an old attempt ran after a new one": (
        "runs that nothing in the ledger explains",
        {"effects": [start(2, SECOND), LATE]},
    ),
    "ran and has no ending": (
        "runs that nothing in the ledger explains",
        {"attempts": [attempt(1, FIRST, "crashed")]},
    ),
    "poison that ran too often": (
        "runs that nothing in the ledger explains",
        {
            "sent": [Sent(JOB, Kind.POISON, Fate.COMMITTED, 0)],
            "rows": with_row(status="failed", result=None),
            "attempts": [attempt(fence, FIRST, "released") for fence in (1, 2, 3)] + [attempt(4, SECOND, "crashed")],
            "effects": [start(fence, SECOND if fence == 4 else FIRST) for fence in (1, 2, 3, 4)],
        },
    ),
    "a job that nobody inserted": (
        "jobs of rolled-back transactions",
        {"rows": {**records().rows, FIRST: Row(FIRST, "completed", 0, None)}},
    ),
    "rolled back and there": (
        "jobs of rolled-back transactions",
        {"sent": [Sent(JOB, Kind.QUICK, Fate.ROLLED_BACK, 0)]},
    ),
    "rolled back and run": (
        "jobs of rolled-back transactions",
        {"sent": [Sent(JOB, Kind.QUICK, Fate.ROLLED_BACK, 0)], "rows": {}, "attempts": []},
    ),
    "an invariant": ("broken invariants", {"broken_invariants": {"5 fences": [{"id": JOB}]}}),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_record_is_found(name: str) -> None:
    violation, changes = DOCTORED[name]
    verdict = judge(records(**changes))
    assert verdict.violations[violation]
    assert not verdict.holds


def test_a_transaction_with_an_unknown_outcome_may_be_missing_as_a_whole() -> None:
    gone = Evidence(
        sent=[Sent(JOB, Kind.QUICK, Fate.UNKNOWN, 0), Sent(FIRST, Kind.CANCELLED, Fate.COMMITTED, 0)],
        rows={FIRST: Row(FIRST, "cancelled", 0, None)},
        attempts=[],
        effects=[],
    )
    assert judge(gone).holds

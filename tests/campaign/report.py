"""The report: Markdown for people, numbers for programs."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tests.campaign.campaign import Outcome
from tests.campaign.recovery_times import as_numbers, shown

_CASES_SHOWN = 20


def as_markdown(outcome: Outcome) -> str:
    return "\n".join([*_head(outcome), *_promises(outcome), *_faults(outcome), *_cases(outcome)])


def _head(outcome: Outcome) -> list[str]:
    options, verdict = outcome.options, outcome.verdict
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {outcome.seconds / 60:.1f} min"
    again = f"--seed {options.seed} --jobs {options.jobs} --faults {options.faults} --minutes {options.minutes:g}"
    settled = "not all" if outcome.settled_in is None else f"{outcome.settled_in:.0f} s after the last fault"
    kept = outcome.throughput_faults / outcome.throughput_calm if outcome.throughput_calm else 0.0
    return [
        f"# Fault campaign: {'nothing lost' if verdict.holds else 'PROMISES BROKEN'}",
        "",
        f"Seed {options.seed}, plan {outcome.plan.fingerprint()}, {when}. Again: `python -m tests.campaign {again}`",
        "",
        "| figure | value |",
        "|---|---|",
        f"| jobs committed | {verdict.jobs:,} |",
        f"| of these, their client never got the answer to its commit | {verdict.unknown_committed:,} |",
        f"| faults injected | {len(outcome.evidence.faults):,} |",
        f"| planned faults that found nothing to hit | {outcome.skipped_faults} |",
        f"| runs | {_starts(outcome):,} |",
        f"| runs after a failure of the job's own | {verdict.extra_runs - verdict.duplicate_runs:,} |",
        f"| duplicate runs, after a crash or a release | {verdict.duplicate_runs:,} |",
        f"| jobs that crashed once, twice, more often (poison aside) | {_crashes(verdict.crashes)} |",
        f"| workers declared lost that no fault had killed or frozen | {verdict.living_lost} |",
        f"| jobs finished a second before the faults | {outcome.throughput_calm:.0f} |",
        f"| jobs finished a second during the faults | {outcome.throughput_faults:.0f} ({kept:.0%}) |",
        f"| all jobs ended | {settled} |",
        f"| log lines with a traceback | {len(outcome.tracebacks)} |",
        "",
    ]


def _crashes(crashes: Counter[int]) -> str:
    return f"{crashes[1]:,}, {crashes[2]:,}, {sum(jobs for times, jobs in crashes.items() if times > 2):,}"


def _starts(outcome: Outcome) -> int:
    return sum(1 for effect in outcome.evidence.effects if effect.what == "start")


def _promises(outcome: Outcome) -> list[str]:
    verdict = outcome.verdict
    lines = ["| promise | broken |", "|---|---|"]
    lines += [f"| {name} | {len(cases)} |" for name, cases in verdict.violations.items()]
    return [*lines, f"| starts per attempt, the most | {verdict.starts_per_attempt} |", ""]


def _faults(outcome: Outcome) -> list[str]:
    lines = [
        "Seconds from the fault as p50 / p99 / max (cases).",
        "*Next claim*: from the fault, or from the store's return, to the next claim by anybody.",
        "*Taken back*: until the attempts it cut short were ended.",
        "*Next start*: until the jobs it hit ran again, the wait between retries included.",
        "",
        "| fault | number | next claim | taken back | next start |",
        "|---|---|---|---|---|",
    ]
    for kind, one in outcome.recoveries.items():
        cells = (shown(one.next_claim), shown(one.taken_back), shown(one.next_start))
        lines.append(f"| {kind} | {one.faults} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cases(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    for name, cases in outcome.verdict.violations.items():
        if cases:
            lines += [f"## {name}", "", *(f"- {case}" for case in cases[:_CASES_SHOWN]), ""]
    if outcome.tracebacks:
        counted = Counter(outcome.tracebacks).most_common(_CASES_SHOWN)
        lines += ["## Tracebacks", "", *(f"- {count} times {text}" for text, count in counted), ""]
    return lines


def as_json(outcome: Outcome) -> dict[str, Any]:
    options, verdict = outcome.options, outcome.verdict
    return {
        "seed": options.seed,
        "plan": outcome.plan.fingerprint(),
        "minutes": options.minutes,
        "holds": verdict.holds,
        "jobs": verdict.jobs,
        "faults": len(outcome.evidence.faults),
        "violations": {name: len(cases) for name, cases in verdict.violations.items()},
        "starts_per_attempt": verdict.starts_per_attempt,
        "extra_runs": verdict.extra_runs,
        "duplicate_runs": verdict.duplicate_runs,
        "unknown_inserts": {"all": verdict.unknown_inserts, "committed": verdict.unknown_committed},
        "crashes": {str(times): jobs for times, jobs in sorted(verdict.crashes.items()) if times},
        "living_lost": verdict.living_lost,
        "throughput": {"calm": outcome.throughput_calm, "faults": outcome.throughput_faults},
        "settled_in": outcome.settled_in,
        "tracebacks": len(outcome.tracebacks),
        "recoveries": {kind: as_numbers(one) for kind, one in outcome.recoveries.items()},
        "timeline": _timeline(outcome),
        "cases": {name: cases[:_CASES_SHOWN] for name, cases in verdict.violations.items() if cases},
    }


def _timeline(outcome: Outcome) -> dict[str, Any]:
    """Seconds from the first line of the effect log: runs that ended in each second, and every fault."""
    ends = [effect.at for effect in outcome.evidence.effects if effect.what == "end"]
    if not ends:
        return {}
    first = min(ends)
    counted = Counter(int(at - first) for at in ends)
    return {
        "ends": [counted[second] for second in range(max(counted) + 1)],
        "faults": [
            [round(fault.began - first, 2), round((fault.healed or fault.began) - first, 2), fault.kind]
            for fault in outcome.evidence.faults
        ],
    }

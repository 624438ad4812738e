"""One campaign, from its seed to its verdict."""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.campaign.checker import Verdict, judge
from tests.campaign.collect import collect, set_witness
from tests.campaign.evidence import Evidence, Fate
from tests.campaign.fault_runner import FaultRunner
from tests.campaign.faults import WEIGHTS
from tests.campaign.load import Inserter
from tests.campaign.plan import Plan, make_plan
from tests.campaign.recovery_times import Recovery, recoveries, throughput
from tests.campaign.world import Size, World, keep_logs, open_world

_CALM_SHARE = 0.08  # share of the time, at the beginning, without faults
_LOAD_SHARE = 0.94
_TICK_SECONDS = 0.02
_SETTLE_SECONDS = 120.0
_SETTLE_RATE = 100.0  # jobs a second that a backlog is processed at, at least
_OVERRUN_SECONDS = 60.0  # seconds for faults that had to wait for their lane
_TALK_SECONDS = 15.0
_OPEN = "SELECT count(*) FROM coding_jobs WHERE status IN ('pending', 'processing')"
# Retries wait longer each time; without a limit a job that met many faults would keep the campaign running for hours.
_NOW = (
    "UPDATE coding_jobs SET run_at = clock_timestamp() WHERE status = 'pending' AND run_at > clock_timestamp() + '1s'"
)


@dataclass
class Options:
    """The options of a campaign."""

    seed: int
    jobs: int
    faults: int
    minutes: float
    only: tuple[str, ...] = ()
    keep: Path | None = None
    size: Size = field(default_factory=Size)


@dataclass
class Outcome:
    options: Options
    plan: Plan
    evidence: Evidence
    verdict: Verdict
    recoveries: dict[str, Recovery]
    skipped_faults: int
    throughput_calm: float
    throughput_faults: float
    settled_in: float | None  # None: not within the deadline
    tracebacks: list[str]
    seconds: float


def run(options: Options) -> Outcome:
    """Run a campaign. Raises RuntimeError if its stores or processes cannot be kept running."""
    seconds = options.minutes * 60
    calm, load = seconds * _CALM_SHARE, seconds * _LOAD_SHARE
    weights = {label: weight for label, weight in WEIGHTS.items() if not options.only or label in options.only}
    plan = make_plan(
        options.seed, jobs=options.jobs, faults=options.faults, load_seconds=load, calm_seconds=calm, weights=weights
    )
    say(f"seed {options.seed}, plan {plan.fingerprint()}: {plan.jobs} jobs and {len(plan.faults)} faults")
    began = time.monotonic()
    with open_world(options.size, options.seed) as world:
        set_witness(world)
        fault_runner, inserter = FaultRunner(world, plan.faults), Inserter(world, plan.batches)
        first = time.time()
        inserter.start()
        fault_runner.start_clock()
        _run_load_and_faults(world, fault_runner, inserter, deadline=time.monotonic() + seconds + _OVERRUN_SECONDS)
        calmed = time.time()
        say("faults are over, everything is healed; waiting for the last jobs")
        settled_in = settle(world)
        inserter.stop()
        evidence = collect(world, inserter.sent, fault_runner.done)
        verdict = judge(evidence)
        outcome = Outcome(
            options=options,
            plan=plan,
            evidence=evidence,
            verdict=verdict,
            recoveries=recoveries(evidence),
            skipped_faults=fault_runner.skipped,
            throughput_calm=throughput(evidence, first + calm / 3, first + calm),
            throughput_faults=throughput(evidence, first + calm, min(calmed, first + load)),
            settled_in=settled_in,
            tracebacks=tracebacks(world.folder),
            seconds=time.monotonic() - began,
        )
        if options.keep is not None or not verdict.holds:
            keep_logs(world.folder, options.keep or Path(".campaign") / f"seed-{options.seed}")
    return outcome


def _run_load_and_faults(world: World, fault_runner: FaultRunner, inserter: Inserter, *, deadline: float) -> None:
    """Returns when all jobs are sent and all faults are healed, or at the deadline."""
    talked_at = time.monotonic()
    while (inserter.is_alive() or not fault_runner.is_over) and time.monotonic() < deadline:
        world.tick()
        fault_runner.tick()
        time.sleep(_TICK_SECONDS)
        if time.monotonic() - talked_at >= _TALK_SECONDS:
            talked_at = time.monotonic()
            committed = sum(1 for sent in inserter.sent if sent.fate is Fate.COMMITTED)
            say(f"{committed} jobs sent, {len(fault_runner.done)} faults done")
    fault_runner.heal_all()


def settle(world: World, rate: float = _SETTLE_RATE) -> float | None:
    """Seconds until every job has ended, or None if some did not in time. A backlog gets one second for `rate` jobs."""
    began = time.monotonic()
    deadline = began + _SETTLE_SECONDS
    backlog: int | None = None
    while time.monotonic() < deadline:
        world.tick()
        try:
            with world.connect() as connection:
                connection.execute(_NOW)
                row = connection.execute(_OPEN).fetchone()
        except psycopg.Error:
            row = None
        if row is not None and row[0] == 0:
            return time.monotonic() - began
        if row is not None and backlog is None:
            backlog = int(row[0])
            deadline += backlog / rate
            say(f"{backlog} jobs are left")
        time.sleep(0.25)
    return None


def tracebacks(folder: Path) -> list[str]:
    """Log lines of our processes with a traceback. There must be none: each fault has a log line of its own."""
    return [
        f"{log.name}: {_last_of_stack(line)}"
        for log in sorted(folder.glob("*.log"))
        for line in log.read_text(errors="replace").splitlines()
        if "Traceback (most recent call last)" in line
    ]


def _last_of_stack(line: str) -> str:
    try:
        record = json.loads(line)
    except ValueError:
        return line[:300]
    stack = str(record.get("exc_info") or record.get("err") or record).strip().splitlines()
    return f"{record.get('msg')}: {stack[-1][:200]}"


def say(text: str) -> None:
    sys.stderr.write(f"campaign: {text}\n")

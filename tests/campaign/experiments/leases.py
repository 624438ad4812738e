"""Leases: a worker that was frozen past its lease writes nothing, and one that was only slow loses nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

from tests.campaign.evidence import Evidence, Fault
from tests.campaign.experiments.testbed import SEED, Figure, even_load, open_testbed
from tests.campaign.plan import Kind
from tests.campaign.world import Size

_ZOMBIE_LEASE_MS = 1500
_FREEZES = 200
_BURN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100000))"


def zombies(minutes: float) -> Figure:
    """SIGSTOP of a worker past its lease, then SIGCONT: are its late reports refused?"""
    dice = random.Random(SEED)
    freeze_seconds = _ZOMBIE_LEASE_MS / 1000 + 1.8
    with open_testbed(Size(lease_ms=_ZOMBIE_LEASE_MS), even_load(12, minutes * 60, Kind.LONG, 0.5)) as testbed:
        until = time.monotonic() + minutes * 60
        testbed.rest(1)
        while len(testbed.faults) < _FREEZES and time.monotonic() < until:
            pids = testbed.world.worker_pids()
            if pids:
                fault = Fault("freeze", time.time(), pids=[dice.choice(pids)])
                os.kill(fault.pids[0], signal.SIGSTOP)
                testbed.rest(freeze_seconds)
                fault.healed = time.time()
                os.kill(fault.pids[0], signal.SIGCONT)
                testbed.faults.append(fault)
            testbed.rest(1.5)
        evidence, verdict = testbed.finish(rate=8)  # half of what all threads can do
    frozen, spoke, accepted = _came_back(evidence)
    text = (
        f"{len(testbed.faults)} freezes past the lease hit {frozen} running attempts, which were taken over; "
        f"{spoke} of them came to their end afterwards and reported it; accepted: {accepted}"
    )
    holds = verdict.holds and accepted == 0 and frozen > 0
    return Figure("zombies", text, holds, {"frozen": frozen, "spoke": spoke, "accepted": accepted})


def _came_back(evidence: Evidence) -> tuple[int, int, int]:
    """Attempts taken over while frozen; those of them whose actor ended afterwards; those whose report was accepted."""
    said_end = {(effect.job, effect.fence): effect.at for effect in evidence.effects if effect.what == "end"}
    rows = evidence.rows
    frozen = spoke = accepted = 0
    for fault in evidence.faults:
        for attempt in evidence.attempts:
            was_hit = attempt.worker_pid in fault.pids and attempt.outcome == "crashed"
            if not was_hit or not fault.began <= attempt.finished_at <= (fault.healed or 0.0):
                continue
            frozen += 1
            if said_end.get((attempt.job, attempt.fence), 0.0) >= (fault.healed or 0.0):
                spoke += 1
                result = rows[attempt.job].result or {}
                accepted += result.get("fence") == attempt.fence
    return frozen, spoke, accepted


def false_reclaims(minutes: float) -> Figure:
    """No faults, but overloaded processors: any attempt that is taken back is taken from a live worker."""
    burners = [subprocess.Popen([sys.executable, "-c", _BURN]) for _ in range(os.cpu_count() or 1)]
    try:
        with open_testbed(Size(), even_load(60, minutes * 60, Kind.NAP, 0.03)) as testbed:
            testbed.rest(minutes * 60)
            evidence, verdict = testbed.finish()
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    outcomes = Counter(attempt.outcome for attempt in evidence.attempts)
    false = sum(outcomes[name] for name in ("crashed", "released", "reclaimed"))
    text = f"{false} in {minutes:g} min, {outcomes['completed']} jobs, {len(burners)} processes burning beside them"
    return Figure("false_reclaims", text, verdict.holds and false == 0, {"false": false, **outcomes})

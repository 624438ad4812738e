"""How soon work continues after a process was killed."""

import os
import signal
import time

import psycopg

from tests.campaign.evidence import Fault
from tests.campaign.experiments.testbed import Figure, Testbed, even_load, open_testbed
from tests.campaign.plan import Kind
from tests.campaign.recovery_times import recoveries, shown
from tests.campaign.world import Size

DEFAULT_LEASE_MS = 30_000
_KILLS = 20
_LONG_JOBS = 6  # two slots stay free
_RUNNING = """
SELECT split_part(w.name, ':', -1)::int FROM coding_jobs j JOIN workers w ON w.id = j.worker
WHERE j.status = 'processing' AND j.exec IS NOT NULL AND w.stopped_at IS NULL
GROUP BY 1 ORDER BY count(*) DESC
"""
_COUNT_RUNNING = """
SELECT count(*) FROM coding_jobs j JOIN workers w ON w.id = j.worker
WHERE j.status = 'processing' AND j.exec IS NOT NULL AND w.stopped_at IS NULL
"""


def worker_kill(minutes: float) -> Figure:
    """Kill -9 of a worker while it runs jobs, at the default lease: the time until those jobs run again."""
    size = Size(supervised_processes=2, plain_processes=1, lease_ms=DEFAULT_LEASE_MS)
    with open_testbed(size, even_load(8, minutes * 60, Kind.LONG, 0.7)) as testbed:
        until = time.monotonic() + minutes * 60
        while len(testbed.faults) < _KILLS and time.monotonic() < until:
            testbed.rest(1.0)
            testbed.rest(20, lambda: len(testbed.world.live_workers()) == size.worker_processes)
            if (pid := _busiest(testbed)) is not None:
                testbed.faults.append(Fault("kill", time.time(), pids=[pid]))
                os.kill(pid, signal.SIGKILL)
        evidence, verdict = testbed.finish()
    found = recoveries(evidence)["kill"]
    text = (
        f"{found.faults} kills at LEASE_MS={DEFAULT_LEASE_MS}: attempts taken back after {shown(found.taken_back)} s, "
        f"their jobs ran again after {shown(found.next_start)} s"
    )
    return Figure("worker_kill", text, verdict.holds, {"taken_back": found.taken_back, "next_start": found.next_start})


def long_jobs(minutes: float) -> Figure:
    """Kill -9 of a worker process whose threads all run jobs of `minutes`: the time until these jobs run again."""
    size = Size(supervised_processes=2, plain_processes=0, lease_ms=DEFAULT_LEASE_MS)
    with open_testbed(size, even_load(_LONG_JOBS, 1, Kind.LONG, minutes * 60)) as testbed:

        def all_run() -> bool:
            with testbed.world.connect() as connection:
                return [row[0] for row in connection.execute(_COUNT_RUNNING)] == [_LONG_JOBS]

        if not testbed.rest(60, all_run) or (pid := _busiest(testbed)) is None:
            raise RuntimeError("the jobs did not begin")
        testbed.faults.append(Fault("kill", time.time(), pids=[pid]))
        os.kill(pid, signal.SIGKILL)
        evidence, verdict = testbed.finish(rate=_LONG_JOBS / (minutes * 120))
    found = recoveries(evidence)["kill"]
    text = (
        f"jobs of {minutes * 60:g} s on two processes of {size.threads} threads: those of a killed one"
        f" were taken back after {shown(found.taken_back)} s, ran again after {shown(found.next_start)} s"
    )
    return Figure("long_jobs", text, verdict.holds, {"taken_back": found.taken_back, "next_start": found.next_start})


def _busiest(testbed: Testbed) -> int | None:
    try:
        with testbed.world.connect() as connection:
            row = connection.execute(_RUNNING).fetchone()
    except psycopg.Error:
        return None
    alive = set(testbed.world.worker_pids())
    return int(row[0]) if row is not None and row[0] in alive else None


def bridge_kill(minutes: float) -> Figure:
    """Kill -9 of a bridge: the time to the next claim, with a second bridge running, and with one that is restarted."""
    parts, numbers, holds = [], {}, True
    for bridges, name in ((2, "another alive"), (1, "restarted")):
        with open_testbed(Size(bridges=bridges), even_load(50, minutes * 30, Kind.QUICK)) as testbed:
            until = time.monotonic() + minutes * 30 - 3
            testbed.rest(2)
            while len(testbed.faults) < _KILLS and time.monotonic() < until:
                bridge = testbed.world.bridges[len(testbed.faults) % bridges]
                if bridge.pid is not None:
                    now = time.time()
                    testbed.faults.append(Fault(name, now, next_claim_since=now))
                    bridge.send(signal.SIGKILL)
                testbed.rest(3)
            evidence, verdict = testbed.finish()
        found = recoveries(evidence)[name]
        numbers[name] = found.next_claim
        holds = holds and verdict.holds
        parts.append(f"{name}: {shown(found.next_claim)} s")
    return Figure("bridge_kill", f"to the next claim, {'; '.join(parts)}", holds, numbers)

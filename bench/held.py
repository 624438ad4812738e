"""A transaction held open: what claims cost when vacuum can remove no row version of the time since.

First the real processes run ten minutes' worth of jobs (at 200 a second) as fast as they can, with or without a held
snapshot. Then jobs are inserted at 200 a second for a while. The claims of that while are timed in the bridge
(`apps/timed_bridge.py`), where the dispatcher decides when and how to claim; the server's own mean is recorded as well,
and so is the latency of the jobs: commit → start.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from bench.contestants import bridge
from bench.fleet import Fleet, open_fleet
from bench.latency import trickle
from bench.run import Run

RATE = 200.0
_COUNTS_SECONDS = 1.2  # the server's sessions report their counts once a second
_TIMED = bridge("held", run=("{bin}/python", "timed_bridge.py", "run"))


@dataclass(frozen=True)
class Phase:
    """Milliseconds: each claim as the bridge sees it, their mean in the server, commit → start of the jobs."""

    claims: list[float]
    server_mean: float
    latencies: list[float]


@dataclass(frozen=True)
class Held:
    jobs: int
    none: Phase
    held: Phase


def measure(run: Run) -> Held:
    return Held(run.plan.held_jobs, _phase(run, is_held=False), _phase(run, is_held=True))


def _phase(run: Run, *, is_held: bool) -> Phase:
    jobs = run.plan.held_jobs
    with open_fleet(_TIMED, run.stores, run.work) as fleet:
        # Before any process connects: the setting counts for sessions that begin later.
        database = Identifier(fleet.database_url.rpartition("/")[2])
        fleet.connection.execute(SQL("ALTER DATABASE {} SET track_functions = 'all'").format(database))
        with _snapshot(fleet.database_url) if is_held else nullcontext():
            fleet.client("fill", str(jobs))
            fleet.start()
            fleet.wait("the last job before", lambda: fleet.done() >= jobs, 600)
            fleet.wait("the last report before", lambda: fleet.unfinished() == 0, 60)
            time.sleep(_COUNTS_SECONDS)
            calls, total = _server_time(fleet)
            began = time.time()
            latencies = trickle(fleet, RATE, int(RATE * run.plan.held_seconds))
            fleet.wait("the last report", lambda: fleet.unfinished() == 0, 60)
            time.sleep(_COUNTS_SECONDS)
            calls_after, total_after = _server_time(fleet)
        claims = _read_claims(fleet.records / "claims", began)
        return Phase(claims, (total_after - total) / max(1, calls_after - calls), latencies)


@contextmanager
def _snapshot(database_url: str) -> Iterator[None]:
    with psycopg.connect(database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM workers")
        yield
        connection.rollback()


def _server_time(fleet: Fleet) -> tuple[int, float]:
    row: Any = fleet.connection.execute(
        "SELECT calls, total_time FROM pg_stat_user_functions WHERE funcname = 'claim_jobs'"
    ).fetchone()
    return (int(row[0]), float(row[1])) if row else (0, 0.0)


def _read_claims(file: Path, since: float) -> list[float]:
    lines = (line.split() for line in file.read_text().splitlines())
    return [float(taken) for when, taken, _ in lines if float(when) >= since]

"""Latency by way of a pooler in transaction mode, with LISTEN_DATABASE_URL past it, beside that of direct addresses.

Both fleets run all the time, each with a database and a namespace of its own, and are measured in turn, for seconds
each: so a machine that is busy otherwise is equally busy for both.
"""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.contestants import bridge
from bench.latency import BUSY_RATE, trickle, warm
from bench.run import Run
from tests.support.pgbouncer import pgbouncer

DIRECT, POOLED = "direct", "pooled"


def measure(run: Run) -> dict[str, list[list[float]]]:
    """Milliseconds at 50 jobs a second, by way and round. Each way begins every second round."""
    found: dict[str, list[list[float]]] = {DIRECT: [], POOLED: []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=run.work, prefix="pgbouncer-")))
        pooler = stack.enter_context(pgbouncer(folder, run.stores.postgres_url))

        def by_the_pooler(database_url: str) -> Mapping[str, str]:
            pooled = pooler.before(database_url)
            return {"DATABASE_URL": pooled, "LISTEN_DATABASE_URL": database_url, "REDIS_NAMESPACE": POOLED}

        fleets = {
            DIRECT: stack.enter_context(warm(run, bridge(DIRECT))),
            POOLED: stack.enter_context(warm(run, bridge(POOLED), by_the_pooler)),
        }
        for number in range(run.plan.pooler_rounds):
            for way in (DIRECT, POOLED) if number % 2 else (POOLED, DIRECT):
                jobs = int(BUSY_RATE * run.plan.pooler_seconds)
                found[way].append(trickle(fleets[way], BUSY_RATE, jobs))
    return found

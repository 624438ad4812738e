"""Growth: the claim statement and get_queue_stats() with many finished jobs in the table, compared with none.

Both databases are measured in turns, so that changes of the machine's speed affect both. The times are those of the
caller, measured in the bridge's own code on one connection: with a registered worker that has no process, one to ten
jobs are inserted, claimed (only this is timed), started and completed.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from bench.history import add_finished_jobs
from bench.numbers import Rounds
from bench.run import Run
from bridge.job import Completed
from bridge.postgres.attempts import AttemptKey, Attempts
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.postgres.queue_rows import Span

_LEASE = timedelta(hours=1)
_STATS_SECONDS = 4.0  # of each round at most: counting millions of rows takes long
_INSERT = """INSERT INTO coding_jobs (actor, queue, payload)
             SELECT 'noop', 'bench', jsonb_build_object('key', n) FROM generate_series(1, %s) AS n"""


@dataclass(frozen=True)
class Growth:
    """Milliseconds by round, without finished rows and with `rows` of them."""

    rows: int
    claim_none: Rounds
    claim_grown: Rounds
    stats_none: Rounds
    stats_grown: Rounds


def measure(run: Run) -> Growth:
    plan = run.plan
    with run.stores.database(migrated=True) as url_none, run.stores.database(migrated=True) as url_grown:
        add_finished_jobs(url_grown, plan.growth_rows)
        with _side(url_none) as none, _side(url_grown) as grown:
            claims: dict[_Side, list[list[float]]] = {none: [], grown: []}
            stats: dict[_Side, list[list[float]]] = {none: [], grown: []}
            for side in (none, grown):
                side.claims(20)  # warm-up: plans are made and pages are read
                side.stats(1)
            for _ in range(plan.growth_rounds):
                for side in (none, grown):
                    claims[side].append(side.claims(plan.growth_claims))
                    stats[side].append(side.stats(plan.growth_stats))
            return Growth(plan.growth_rows, claims[none], claims[grown], stats[none], stats[grown])


class _Side:
    """One of the two databases, with the calls of a bridge and a worker."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._queue = JobQueue(link)
        self._attempts = Attempts(link)
        self._worker = uuid4()
        self._attempts.register(
            self._worker, name="bench", slots=100, queues=["bench"],
            actors={"noop": {"queue": "bench", "max_retries": 3}}, version="1", lease=_LEASE,
        )  # fmt: skip

    def claims(self, count: int) -> list[float]:
        return [self._claim(1 + number % 10) for number in range(count)]

    def stats(self, count: int) -> list[float]:
        taken: list[float] = []
        deadline = time.perf_counter() + _STATS_SECONDS
        while len(taken) < count and (not taken or time.perf_counter() < deadline):
            began = time.perf_counter()
            self._queue.get_queue_stats()
            taken.append(1000 * (time.perf_counter() - began))
        return taken

    def _claim(self, jobs: int) -> float:
        self._link.connection.execute(_INSERT, [jobs])
        began = time.perf_counter()
        claims = self._queue.claim_jobs("bench", limit=jobs, lease=_LEASE, spans=[Span("bench", jobs)])
        taken = 1000 * (time.perf_counter() - began)
        held = [AttemptKey(claim.job_id, claim.fence, uuid4()) for claim in claims]
        started = self._attempts.start(self._worker, held)
        completed = self._attempts.complete([(one, Completed(None)) for one in held])
        if not len(started) == len(list(completed)) == jobs:
            raise RuntimeError(f"{jobs} jobs, {len(started)} started, {len(list(completed))} completed")
        return taken


@contextmanager
def _side(database_url: str) -> Iterator[_Side]:
    link = Link(database_url, "bench")
    try:
        yield _Side(link)
    finally:
        link.close()

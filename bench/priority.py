"""Priority: urgent jobs are inserted while a backlog of low ones runs. Which low ones still start before each?

Low jobs that run already when an urgent one is inserted may continue; no others may begin before it. Low jobs that
do are counted by how far they were: not claimed when it was committed; claimed, but not fetched when it could
have been fetched; or fetched and started in Postgres, while the actor had not begun. It could have been fetched a few
milliseconds after its claim: a job that begins before that moment counts as running.

Two backlogs: one of no-op jobs, thousands of which begin in a second, with few urgent jobs; and one of jobs that sleep
20 ms, on which the trials are made, because only few of these begin within some milliseconds.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from bench.contestants import Contestant, bridge
from bench.fleet import Fleet, open_fleet
from bench.run import Run

NO_OP, NAP = "no-op", "20 ms"
BACKLOG = 10_000  # of no-op jobs
_MOMENTS = 8
_NAPS_PER_SECOND = 800  # two processes of eight threads
_SPACING_SECONDS = 0.05  # from one urgent job to the next: it has begun by then
REACH_SECONDS = 0.005  # from a claim to the fetch: its commit, and the message by way of Redis; 1 to 2 ms when calm


class Times(NamedTuple):
    """Of one job, in epoch seconds: claimed by a bridge, started in Postgres, begun by its actor."""

    claimed: float
    started: float
    began: float


@dataclass(frozen=True)
class Urgent:
    """One urgent job: how many low jobs began between its commit and its beginning, and how far those of them were
    that should not have begun; milliseconds until it began.
    """

    ahead: int
    unclaimed: int
    unfetched: int
    not_begun: int
    milliseconds: float

    @property
    def is_overtaken(self) -> bool:
        return self.unclaimed + self.unfetched + self.not_begun > 0


def measure(run: Run) -> dict[str, list[Urgent]]:
    found: dict[str, list[Urgent]] = {NO_OP: [], NAP: []}
    rounds = run.plan.priority_rounds
    trials = -(-run.plan.priority_trials // rounds)
    naps = int(trials * _SPACING_SECONDS * _NAPS_PER_SECOND)
    for number in range(1, rounds + 1):
        with run.part(f"priority, round {number}, no-op jobs"):
            found[NO_OP] += _one_backlog(run, bridge("priority"), BACKLOG, _at_parts_of_the_backlog)
        with run.part(f"priority, round {number}, jobs of 20 ms"):
            found[NAP] += _one_backlog(
                run, bridge("priority-naps", actor="nap"), naps, partial(_evenly, number, trials)
            )
    return found


def _one_backlog(
    run: Run, contestant: Contestant, low: int, moments: Callable[[Fleet], Iterator[None]]
) -> list[Urgent]:
    with open_fleet(contestant, run.stores, run.work) as fleet:
        fleet.client("fill", str(low))
        fleet.start()
        committed = {low + number: _insert_urgent(fleet, low + number) for number, _ in enumerate(moments(fleet))}
        fleet.wait("the last job", lambda: fleet.done() >= low + len(committed), 120)
        fleet.wait("the last report", lambda: fleet.unfinished() == 0, 60)
        times = _times(fleet)
    return [overtaken(key, when, times, low) for key, when in committed.items()]


def _at_parts_of_the_backlog(fleet: Fleet) -> Iterator[None]:
    for number in range(1, _MOMENTS + 1):
        enough = number * BACKLOG // (_MOMENTS + 1)
        fleet.wait("a part of the backlog", partial(_has_done, fleet, enough), 120, poll=0.001)
        yield


def _evenly(seed: int, trials: int, fleet: Fleet) -> Iterator[None]:
    dice = random.Random(seed)  # noqa: S311 -- the same moments in each run
    fleet.wait("the first jobs", lambda: fleet.done() > _NAPS_PER_SECOND // 10, 60)
    for _ in range(trials):
        time.sleep(dice.uniform(0.5, 1.5) * _SPACING_SECONDS)
        yield


def _has_done(fleet: Fleet, enough: int) -> bool:
    return fleet.done() >= enough


def _insert_urgent(fleet: Fleet, key: int) -> float:
    """Insert and commit. Returns the time after that by the database's clock, in epoch seconds."""
    fleet.connection.execute(
        """INSERT INTO coding_jobs (actor, queue, priority, payload)
           VALUES ('noop', 'bench', 10, jsonb_build_object('key', %s::integer))""",
        [key],
    )
    row = fleet.connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    assert row is not None
    return float(row[0])


def _times(fleet: Fleet) -> dict[int, Times]:
    began = dict(fleet.reader.read())
    return {
        int(key): Times(float(claimed), float(started), began[int(key)])
        for key, claimed, started in fleet.connection.execute(
            "SELECT payload ->> 'key', extract(epoch FROM claimed_at), extract(epoch FROM started_at) FROM coding_jobs"
        )
    }


def overtaken(urgent: int, committed: float, times: Mapping[int, Times], low: int) -> Urgent:
    """Which low jobs overtook the job with the key `urgent`. Keys below `low` are those of low jobs."""
    mine = times[urgent]
    reached = mine.claimed + REACH_SECONDS
    ahead = [one for key, one in times.items() if key < low and committed < one.began < mine.began]
    handed_over = [one for one in ahead if one.claimed <= committed and one.began > reached]
    return Urgent(
        len(ahead),
        unclaimed=sum(one.claimed > committed for one in ahead),
        unfetched=sum(one.started > reached for one in handed_over),
        not_begun=sum(one.started <= reached for one in handed_over),
        milliseconds=1000 * (mine.began - committed),
    )

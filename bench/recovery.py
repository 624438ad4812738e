"""Recovery: a worker process dies by SIGKILL while 100 jobs run in eight. When do its jobs start again, and how?

If it is killed from outside, all of its jobs are innocent. If one, two or five of the 100 jobs kill it (each does so
0.2 s after each start, until its attempts are spent), all others are. An innocent job that had to run isolated is a
false positive; a killer that ran beside others after its first crash is a false negative, seen by innocents that crash
again.
"""

import json
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.contestants import RUN, Contestant, our_rows
from bench.fleet import Fleet, open_fleet
from bench.run import Run

JOBS = 100
_PROCESSES, _THREADS = 8, 16  # all jobs run at once, and there is room for those of a dead process
RUNS_ALONE = "Job runs alone"  # the bridge's log line
_WORKERS = "SELECT count(*) FROM workers WHERE stopped_at IS NULL AND lease_expires_at > clock_timestamp()"
_INSERT = """
INSERT INTO coding_jobs (actor, queue, payload)
VALUES (%s, 'bench', jsonb_build_object('key', %s::integer, 'seconds', %s::float))"""
_ENDS = """
SELECT j.id::text, (j.payload ->> 'key')::integer, j.status,
       (SELECT count(*) FROM job_attempts a WHERE a.job_id = j.id AND a.outcome = 'crashed')
FROM coding_jobs j WHERE (j.payload ->> 'key')::integer BETWEEN %s AND %s"""


@dataclass(frozen=True)
class End:
    """The end of one job: its status, how many of its attempts crashed, and whether it had to run isolated."""

    status: str
    crashes: int
    was_alone: bool


@dataclass(frozen=True)
class Trial:
    """Seconds from each death to the next start of each innocent job that it cut short; how many innocent jobs ran
    alone, died more than once, did not complete; the runs of all killers; seconds from the first death to the last end.
    """

    next_starts: Sequence[float]
    alone: int
    died_again: int
    failed: int
    killer_runs: int
    seconds: float


def measure(run: Run) -> dict[int, list[Trial]]:
    """Trials by the number of killers; 0 means killed from outside."""
    found: dict[int, list[Trial]] = {killers: [] for killers in (0, *run.plan.recovery_killers)}
    for number in range(1, run.plan.recovery_rounds + 1):
        with run.part(f"recovery, round {number}"), open_fleet(_contestant(), run.stores, run.work) as fleet:
            fleet.start()
            for killers in (*(0,) * run.plan.recovery_kills, *(run.plan.recovery_killers if number == 1 else ())):
                found[killers].append(_trial(fleet, killers, number))
    return found


def _contestant() -> Contestant:
    env = {
        "ACTORS_MODULE": "bridge_app", "LOG_FORMAT": "json", "WORKER_PROCESSES": str(_PROCESSES),
        "MAX_CONCURRENT_JOBS": str(_PROCESSES * _THREADS),
    }  # fmt: skip
    return Contestant("recovery", "bridge_app", (RUN, ("{bin}/mobvibe", "worker")), our_rows, migrated=True, env=env)


def _trial(fleet: Fleet, killers: int, seed: int) -> Trial:
    dice = random.Random(seed)  # noqa: S311 -- the same jobs in each run
    fleet.wait("all workers", lambda: _count(fleet, _WORKERS) == _PROCESSES, 120)
    first = 1 + _count(fleet, "SELECT count(*) FROM coding_jobs")
    keys = range(first, first + JOBS)
    bad = set(dice.sample(keys, killers))
    with fleet.connection.transaction(), fleet.connection.cursor() as cursor:
        cursor.executemany(
            _INSERT, [("killer" if key in bad else "sleep", key, round(dice.uniform(2, 5), 2)) for key in keys]
        )
    deaths = {} if killers else _kill_one(fleet, keys, dice)
    ended = fleet.wait("the last job", lambda: fleet.unfinished() == 0, 300)
    runs = [(pid, key, when) for pid, key, when in fleet.reader.runs() if abs(key) in keys]
    deaths |= {pid: when for pid, key, when in runs if key < 0}  # what a killer says at last
    return judge([run for run in runs if run[1] > 0], deaths, _ends(fleet, keys), bad, ended - min(deaths.values()))


def _kill_one(fleet: Fleet, keys: range, dice: random.Random) -> dict[int, float]:
    """Kill one process. Returns which, and when."""
    fleet.wait(
        "the start of all jobs", lambda: len({key for _, key, _ in fleet.reader.runs() if key in keys}) == JOBS, 60
    )
    pid = dice.choice(sorted({pid for pid, key, _ in fleet.reader.runs() if key in keys}))
    os.kill(pid, signal.SIGKILL)
    return {pid: time.time()}


def _count(fleet: Fleet, query: str) -> int:
    row = fleet.connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def _ends(fleet: Fleet, keys: range) -> dict[int, End]:
    alone = set(_jobs_alone((fleet.folder / "log").read_text(errors="replace")))
    return {
        key: End(status, crashes, job in alone)
        for job, key, status, crashes in fleet.connection.execute(_ENDS, [keys[0], keys[-1]])
    }


def _jobs_alone(log: str) -> Iterator[str]:
    for line in log.splitlines():
        if RUNS_ALONE in line:
            yield json.loads(line)["jobId"]


def judge(
    runs: Sequence[tuple[int, int, float]], deaths: Mapping[int, float], ends: Mapping[int, End], bad: set[int],
    seconds: float,
) -> Trial:  # fmt: skip
    """`runs` are the process, the key and the moment of each start, `deaths` the moment by process."""
    by_key: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for pid, key, when in runs:
        by_key[key].append((when, pid))
    innocent = [end for key, end in ends.items() if key not in bad]
    return Trial(
        [
            again - deaths[pid]
            for key, starts in by_key.items()
            if key not in bad
            for (_, pid), (again, _) in pairwise(sorted(starts))
            if pid in deaths
        ],
        alone=sum(end.was_alone for end in innocent),
        died_again=sum(end.crashes > 1 for end in innocent),
        failed=sum(end.status != "completed" for end in innocent),
        killer_runs=sum(len(by_key[key]) for key in bad),
        seconds=seconds,
    )

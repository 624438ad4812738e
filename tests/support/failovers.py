"""Failovers of a real primary, by real Sentinels, while clients insert jobs and real processes work on them."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bridge.postgres.migrations import migrate_up
from tests.rollout.fleet import Fleet, open_fleet
from tests.rollout.load import Load, Verdict
from tests.rollout.releases import TODAY
from tests.support.redis_groups import PASSWORD, Watched
from tests.support.waiting import eventually

_SCRIPTS_LOST = 100


@dataclass(frozen=True)
class Outcome:
    verdict: Verdict
    pauses: list[float]
    """For each failover, the most seconds from a job's commit to its first start."""
    chosen: list[float]
    """Of these, the seconds until the Sentinels had another primary."""
    troubles: list[str]
    """Ends and tracebacks of processes."""


def run(
    kinds: Sequence[str],
    dsn: str,
    group: Watched,
    folder: Path,
    *,
    rate: float,
    roles: Sequence[str],
    between: int,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """One failover of each kind after the other, and `between` jobs that end after each. `dsn` is an empty database."""
    migrate_up(dsn)
    with open_fleet(folder, dsn, group.url) as fleet:
        for role in roles:
            fleet.start(role, TODAY)
        with Load(dsn, rate, folder / "runs") as load:
            load.wait_for_jobs(between)
            began, chosen = [], []
            for kind in kinds:
                say(kind)
                began.append(time.time())
                chosen.append(KINDS[kind](group))
                load.wait_for_jobs(between)
        verdict = load.verdict()
        for member in list(fleet.members):
            fleet.stop(member)
        return Outcome(verdict, _pauses(dsn, folder / "runs", began), chosen, _troubles(fleet))


def _pauses(dsn: str, runs: Path, began: Sequence[float]) -> list[float]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT id::text, extract(epoch FROM created_at)::float FROM coding_jobs").fetchall()
    inserted: dict[str, float] = dict(rows)
    pauses = [0.0 for _ in began]
    seen: set[str] = set()
    for what, job, _, at in map(str.split, runs.read_text().splitlines()):
        failovers = sum(1 for one in began if one <= float(at))
        if what == "start" and job not in seen and failovers:
            pauses[failovers - 1] = max(pauses[failovers - 1], float(at) - inserted[job])
        seen.add(job)
    return pauses


def _troubles(fleet: Fleet) -> list[str]:
    return [line for line in fleet.troubles() if "Traceback" in line or " ended with " in line]


def _kill(group: Watched) -> float:
    """The primary dies, and comes back as a replica when there is another one."""
    old = group.primary()
    group.kill(old)
    chosen = group.wait_for_another_primary(old)
    group.start_again(old)
    group.settle()
    return chosen


def _lose_writes(group: Watched) -> float:
    """As `_kill`, but the replica has lost its link before: what the primary acknowledged since then is gone."""
    old = group.primary()
    (replica,) = [port for port in group.servers if port != old]
    group.ask(replica, "CONFIG", "SET", "masterauth", "wrong")
    group.ask(old, "CLIENT", "KILL", "TYPE", "replica")
    seen = _scripts(group, old)
    eventually(lambda: _scripts(group, old) > seen + _SCRIPTS_LOST, what="more hand-overs")
    group.kill(old)
    chosen = group.wait_for_another_primary(old)
    group.ask(replica, "CONFIG", "SET", "masterauth", PASSWORD)
    group.ask(replica, "CONFIG", "REWRITE")  # the Sentinels had it rewrite its configuration meanwhile
    group.start_again(old)
    group.settle()
    return chosen


def _scripts(group: Watched, port: int) -> int:
    """How many hand-overs, and the like, the server has done."""
    return int(group.ask(port, "INFO", "commandstats")["cmdstat_evalsha"]["calls"])


def _freeze(group: Watched) -> float:
    """The primary hangs, and finds itself a replica when it goes on."""
    old = group.primary()
    group.signal(old, signal.SIGSTOP)
    chosen = group.wait_for_another_primary(old)
    group.signal(old, signal.SIGCONT)
    group.settle()
    return chosen


def _demote(group: Watched) -> float:
    """An operator asks for another primary. The old one takes writes, and forgets them, until it is told."""
    old = group.primary()
    group.demote()
    chosen = group.wait_for_another_primary(old)
    group.settle()
    return chosen


# Each returns the seconds until the Sentinels had another primary.
KINDS: dict[str, Callable[[Watched], float]] = {
    "kill": _kill, "lost writes": _lose_writes, "freeze": _freeze, "demote": _demote,
}  # fmt: skip

"""Idle: the CPU time and memory of the Procfile's three processes while no job is there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from bench.contestants import procfile
from bench.fleet import Fleet, open_fleet
from bench.run import Run
from bench.web import answers
from bridge.dev.embedded.server import pick_port

ROLES = ("bridge", "worker", "web")
_SETTLE_SECONDS = 11.0  # an idle session of Postgres reports its counts, also those of its start, after ten seconds
_DRAIN = 5_000
_MIB = 2**20


@dataclass(frozen=True)
class Memory:
    """MiB, of the largest process of a role, which does the work, and of all its processes together.

    Shared pages count in the RSS of each process; the USS is the memory that would be free without it.
    """

    rss: float
    uss: float
    rss_all: float
    uss_all: float


@dataclass(frozen=True)
class Idle:
    seconds: float
    cpu_percent: dict[str, float]  # of one core, with all child processes
    statements_per_second: float
    redis_commands_per_second: float
    memory_idle: dict[str, Memory]
    memory_drained: dict[str, Memory]


def measure(run: Run) -> Idle:
    port = pick_port()
    with open_fleet(procfile(port), run.stores, run.work) as fleet:
        fleet.start()
        fleet.wait("a registered worker", lambda: _has_worker(fleet), 60)
        fleet.wait("an answer of the web process", lambda: answers(port), 60)
        time.sleep(_SETTLE_SECONDS)
        families = {role: fleet.family(number) for number, role in enumerate(ROLES)}
        began, statements, commands = time.monotonic(), run.stores.statements(fleet.database_url), _commands(run)
        cpu = {role: _cpu(family) for role, family in families.items()}
        time.sleep(run.plan.idle_seconds)
        seconds = time.monotonic() - began
        cpu_percent = {role: 100 * (_cpu(family) - cpu[role]) / seconds for role, family in families.items()}
        statements = run.stores.statements(fleet.database_url) - statements
        commands = _commands(run) - commands - 1  # our own query
        memory_idle = {role: _memory(family) for role, family in families.items()}
        fleet.client("fill", str(_DRAIN))
        fleet.wait("the last job", lambda: fleet.done() >= _DRAIN, 120)
        fleet.wait("the last report", lambda: fleet.unfinished() == 0, 60)
        memory_drained = {role: _memory(family) for role, family in families.items()}
    return Idle(seconds, cpu_percent, statements / seconds, commands / seconds, memory_idle, memory_drained)


def _has_worker(fleet: Fleet) -> bool:
    return fleet.connection.execute("SELECT FROM workers WHERE stopped_at IS NULL").fetchone() is not None


def _commands(run: Run) -> int:
    return run.stores.redis_commands()


def _cpu(family: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in family]
    return sum(one.user + one.system for one in times)


def _memory(family: Sequence[psutil.Process]) -> Memory:
    sizes = [process.memory_full_info() for process in family]
    largest = max(sizes, key=lambda size: size.rss)
    return Memory(
        largest.rss / _MIB, largest.uss / _MIB,
        sum(size.rss for size in sizes) / _MIB, sum(size.uss for size in sizes) / _MIB,
    )  # fmt: skip

"""The documented ways to insert a job and to run workers (bench/ways.py), each measured.

Rates: one client inserts, a commit a job (or a thousand), beside a bridge and a web process, before any worker came.
Warm: workers have run a job; then many jobs are committed at once and drained, and single ones are sent at 50 a second.
Cold: many rows are inserted before the first worker of their database starts.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.contestants import RUN, Contestant, our_rows
from bench.fleet import Fleet, open_fleet
from bench.latency import BUSY_RATE
from bench.ledger import check_ledger
from bench.run import Run
from bench.ways import INSERTING, WORKING
from bench.web import answers
from bridge.dev.embedded.server import pick_port

_SECRET = "a secret of the bench, of 32 bytes and more"  # noqa: S105 -- of a web process that nobody else reaches
_WEB = ("{bin}/python", "-m", "bridge", "web")
_COMPARED = ("named", "plain_sql")  # a goal compares them: measured in each round, the others in the first
# Their jobs come mixed, so that the machine's moods meet all. Not the endpoint's: it would delay what comes after it.
_MIXED = ("named", "plain_sql", "enqueue", "send")
_USUAL = "dramatiq"  # the workers of all ways to insert
_REST_SECONDS = 2.0  # what starts up, or comes to rest, is not what is measured


@dataclass(frozen=True)
class Way:
    """One way, by round: rows a second of one client; jobs a second of a warm drain; milliseconds from commit to
    start; seconds from the start of the first workers until the last of the rows that were there before them began.
    """

    rates: list[float] = field(default_factory=list)
    drains: list[float] = field(default_factory=list)
    latencies: list[Sequence[float]] = field(default_factory=list)
    colds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Documented:
    cold_jobs: int
    inserting: Mapping[str, Way] = field(default_factory=lambda: {name: Way() for name in INSERTING})
    working: Mapping[str, Way] = field(default_factory=lambda: {name: Way() for name in WORKING})


def measure(run: Run) -> Documented:
    found = Documented(run.plan.cold_jobs)
    with run.part("ways, rates"):
        _measure_rates(run, found)
    for number in range(1, run.plan.ways_rounds + 1):
        ways = list(INSERTING if number == 1 else _COMPARED)[:: 1 if number % 2 else -1]
        for working in WORKING if number == 1 else (_USUAL,):
            with run.part(f"ways, round {number}, warm, {working}"), _warm(run, working) as fleet:
                _measure_warm(fleet, run, found.working[working], "plain_sql")
                if working == _USUAL:
                    _measure_inserting(fleet, run, found, ways)
                check_ledger(fleet.connection, fleet.done())
        _measure_cold(run, found, number, ways)
    return found


def _measure_rates(run: Run, found: Documented) -> None:
    with _open(run, "rates", RUN, _WEB) as fleet:
        for way in INSERTING:
            found.inserting[way].rates.append(float(fleet.client("rate", way, str(run.plan.ways_rate_seconds))))


def _measure_warm(fleet: Fleet, run: Run, way: Way, inserting: str) -> None:
    way.drains.append(_drain(fleet, inserting, run.plan.ways_jobs))
    time.sleep(_REST_SECONDS)
    way.latencies.append(_trickle(fleet, [inserting], run.plan.ways_seconds)[inserting])


def _measure_inserting(fleet: Fleet, run: Run, found: Documented, ways: Sequence[str]) -> None:
    for name in ways:
        if INSERTING[name].fills:
            found.inserting[name].drains.append(_drain(fleet, name, run.plan.ways_jobs))
    for number in range(run.plan.ways_pairs):
        for name in _COMPARED[:: 1 if number % 2 else -1]:
            found.inserting[name].drains.append(_drain(fleet, name, run.plan.ways_jobs))
    time.sleep(_REST_SECONDS)
    single = [name for name in ways if INSERTING[name].trickles]
    mixed, alone = [name for name in single if name in _MIXED], [name for name in single if name not in _MIXED]
    for names in (mixed, *([name] for name in alone)):
        for name, latencies in _trickle(fleet, names, run.plan.ways_seconds).items():
            found.inserting[name].latencies.append(latencies)


def _measure_cold(run: Run, found: Documented, number: int, ways: Sequence[str]) -> None:
    for name in ways:
        if INSERTING[name].fills:
            with run.part(f"ways, round {number}, cold, {name}"):
                found.inserting[name].colds.append(_cold(run, _USUAL, name))
    found.working[_USUAL].colds[:] = found.inserting["plain_sql"].colds
    for name in WORKING:
        if name != _USUAL and number == 1:
            with run.part(f"ways, round {number}, cold, {name}"):
                found.working[name].colds.append(_cold(run, name, "plain_sql"))


def _drain(fleet: Fleet, inserting: str, jobs: int) -> float:
    """Jobs a second, from the first one's beginning until none is left unfinished."""
    first = before = fleet.done()
    fleet.client("fill", inserting, str(first), str(jobs))
    fleet.wait("the last job", lambda: fleet.done() >= before + jobs, 300)
    ended = fleet.wait("the last report", lambda: fleet.unfinished() == 0, 60)
    return jobs / (ended - min(_began(fleet, first, jobs).values()))


def _trickle(fleet: Fleet, ways: Sequence[str], seconds: float) -> dict[str, list[float]]:
    """Milliseconds from commit to start, by way, at 50 jobs a second in all; the first tenth left out."""
    first = before = fleet.done()
    jobs = int(BUSY_RATE * seconds) * len(ways)
    arguments = (",".join(ways), str(BUSY_RATE), str(first), str(jobs))
    text = fleet.client("trickle", *arguments, seconds=jobs / BUSY_RATE + 60)
    fleet.wait("the last job", lambda: fleet.done() >= before + jobs, 60)
    began = _began(fleet, first, jobs)
    found: dict[str, list[float]] = {way: [] for way in ways}
    for way, key, when in map(str.split, text.splitlines()):
        if int(key) >= first + jobs // 10:
            found[way].append(1000 * (began[int(key)] - float(when)))
    return found


def _cold(run: Run, working: str, inserting: str) -> float:
    jobs = run.plan.cold_jobs
    with open_fleet(_contestant(f"cold-{working}", *WORKING[working].commands), run.stores, run.work) as fleet:
        fleet.client("fill", inserting, "0", str(jobs))
        started = time.time()
        fleet.start()
        fleet.wait("the last job", lambda: fleet.done() >= jobs, 300)
        fleet.wait("the last report", lambda: fleet.unfinished() == 0, 60)
        check_ledger(fleet.connection, jobs)
        return max(_began(fleet, 0, jobs).values()) - started


def _began(fleet: Fleet, first: int, jobs: int) -> dict[int, float]:
    """When each job began. Raises RuntimeError when one was lost or ran twice."""
    runs = [(key, when) for key, when in fleet.reader.read() if first <= key < first + jobs]
    began = dict(runs)
    if not len(runs) == len(began) == jobs:
        raise RuntimeError(f"{fleet.contestant.name}: {jobs} jobs, {len(runs)} runs of {len(began)}")
    return began


@contextmanager
def _warm(run: Run, working: str) -> Iterator[Fleet]:
    """Workers that have run a job, as they go on for days."""
    commands = WORKING[working].commands
    with _open(run, working, *commands, *(() if working == "honcho" else (_WEB,))) as fleet:
        fleet.client("fill", "named", "0", "1")
        fleet.wait("the first job", lambda: fleet.done() > 0, 60)
        time.sleep(_REST_SECONDS)
        yield fleet


@contextmanager
def _open(run: Run, name: str, *commands: tuple[str, ...]) -> Iterator[Fleet]:
    contestant = _contestant(name, *commands)
    with open_fleet(contestant, run.stores, run.work) as fleet:
        fleet.start()
        port = int(contestant.env["HEALTH_CHECK_PORT"])
        fleet.wait("an answer of the web process", lambda: answers(port), 60)
        yield fleet


def _contestant(name: str, *commands: tuple[str, ...]) -> Contestant:
    env = {
        "ACTORS_MODULE": "bridge_app", "WORKER_PROCESSES": "2", "MAX_CONCURRENT_JOBS": "16",
        "HEALTH_CHECK_PORT": str(pick_port()), "SUPABASE_JWT_SECRET": _SECRET,
    }  # fmt: skip
    return Contestant(f"ways-{name}", "ways_app", commands, our_rows, migrated=True, env=env)

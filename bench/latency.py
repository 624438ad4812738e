"""Latency: the time from the return of a client's commit (or send) to the beginning of its job."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.contestants import CONTESTANTS, Contestant
from bench.fleet import Addresses, Fleet, open_fleet
from bench.run import Run

BUSY_RATE = 50.0
IDLE_RATE = 1.0
_REST_SECONDS = 2.0  # the time in which processes start up is not measured


def measure(
    run: Run, busy: Sequence[str], idle: Sequence[str]
) -> tuple[dict[str, list[list[float]]], dict[str, list[list[float]]]]:
    """Milliseconds at 50 jobs a second and at one, by contestant and round. Rounds are interleaved."""
    names = [*busy, *(name for name in idle if name not in busy)]
    at_busy: dict[str, list[list[float]]] = {name: [] for name in busy}
    at_idle: dict[str, list[list[float]]] = {name: [] for name in idle}
    for number in range(1, run.plan.latency_rounds + 1):
        for name in run.plan.of_round(number, names):
            with run.part(f"latency, round {number}, {name}"), warm(run, CONTESTANTS[name]) as fleet:
                if name in busy:
                    at_busy[name].append(trickle(fleet, BUSY_RATE, int(BUSY_RATE * run.plan.latency_seconds)))
                    time.sleep(_REST_SECONDS)
                if name in idle:
                    at_idle[name].append(trickle(fleet, IDLE_RATE, run.plan.idle_latency_jobs))
    return at_busy, at_idle


def trickle(fleet: Fleet, rate: float, jobs: int) -> list[float]:
    """Milliseconds of jobs that are sent at `rate` a second, without the first tenth."""
    before = fleet.done()
    text = fleet.client("trickle", str(rate), str(jobs), seconds=jobs / rate + 60)
    sent = {int(key): float(when) for key, when in (line.split() for line in text.splitlines())}
    fleet.wait("the last job", lambda: fleet.done() >= before + jobs, 60)
    began = dict(sorted(fleet.reader.read(), key=lambda run: run[1]))  # of runs of one key, the latest counts
    return [1000 * (began[key] - when) for key, when in sent.items() if key >= jobs // 10]


@contextmanager
def warm(run: Run, contestant: Contestant, addresses: Addresses | None = None) -> Iterator[Fleet]:
    """A running fleet that has worked a job. `addresses`: see `open_fleet`."""
    with open_fleet(contestant, run.stores, run.work, addresses) as fleet:
        fleet.start()
        fleet.client("fill", "1")
        fleet.wait("the first job", lambda: fleet.done() > 0, 60)
        time.sleep(_REST_SECONDS)
        yield fleet

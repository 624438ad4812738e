"""Latency: from the moment when a client's commit (or send) has returned to the beginning of its job."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import Contestant
from bench.fleet import open_fleet
from bench.stores import Stores


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


def percentiles(milliseconds: list[float]) -> Latency:
    ordered = sorted(milliseconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return Latency(at(0.50), at(0.95), at(0.99))


def latency(contestant: Contestant, stores: Stores, work: Path, *, rate: float, seconds: float) -> Latency:
    """At `rate` jobs a second for `seconds`, the first tenth left out."""
    with open_fleet(contestant, stores, work) as fleet:
        fleet.start()
        fleet.client("fill", "1")
        fleet.wait("the first job", lambda: fleet.done() > 0, 60)
        time.sleep(2)  # what starts up in the other processes is not what is measured
        before = fleet.done()
        jobs = max(10, int(rate * seconds))
        sent = _read(fleet.client("trickle", str(rate), str(jobs)))
        fleet.wait("the last job", lambda: fleet.done() >= jobs + before, 60)
        began: Mapping[int, float] = dict(sorted(fleet.reader.read(), key=lambda run: run[1]))
        return percentiles([1000 * (began[key] - when) for key, when in sent.items() if key >= jobs // 10])


def _read(text: str) -> dict[int, float]:
    return {int(key): float(when) for key, when in (line.split() for line in text.splitlines())}

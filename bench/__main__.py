"""`python -m bench`: drain and latency of this project and its peers, interleaved, three rounds, medians."""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import median

from bench.contestants import CONTESTANTS
from bench.drain import drain
from bench.latency import Latency, latency
from bench.stores import Stores, open_stores

WORK = Path(".bench")
QUICK = ("bridge", "dramatiq", "pgqueuer_best")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of fewer jobs, the main contestants only")
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, help="these contestants")
    options = parser.parse_args()
    names = options.only or (QUICK if options.quick else tuple(CONTESTANTS))
    WORK.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=WORK, prefix="stores-") as folder,
        open_stores(Path(folder).resolve()) as stores,
    ):
        drains = measure_drains(stores, names, rounds=1 if options.quick else 3, quick=options.quick)
        seconds = 5.0 if options.quick else 20.0
        latencies = {
            name: latency(CONTESTANTS[name], stores, WORK.resolve(), rate=50, seconds=seconds) for name in names
        }
    if options.json:
        print(json.dumps(as_json(drains, latencies)))
    else:
        print(as_table(drains, latencies))


def measure_drains(stores: Stores, names: tuple[str, ...], *, rounds: int, quick: bool) -> dict[str, list[float]]:
    """Jobs a second, by contestant and round; the rounds interleaved, since the machine changes under them."""
    drains: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            jobs = CONTESTANTS[name].jobs // (5 if quick else 1)
            drains[name].append(drain(CONTESTANTS[name], stores, WORK.resolve(), jobs))
    return drains


def as_json(drains: dict[str, list[float]], latencies: dict[str, Latency]) -> dict[str, object]:
    medians = {name: round(median(rates)) for name, rates in drains.items()}
    bridge = medians.get("bridge")
    return {
        "drain": medians,
        "latency_ms": {name: {"p50": one.p50, "p95": one.p95, "p99": one.p99} for name, one in latencies.items()},
        "ratio": {name: round(bridge / rate, 2) for name, rate in medians.items()} if bridge else {},
    }


def as_table(drains: dict[str, list[float]], latencies: dict[str, Latency]) -> str:
    """Markdown."""
    lines = ["| | drain, jobs/s (range) | commit → start at 50/s, ms: p50 | p95 | p99 |", "|---|---|---|---|---|"]
    for name, rates in drains.items():
        one = latencies[name]
        drained = f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        lines.append(f"| {name} | {drained} | {one.p50} | {one.p95} | {one.p99} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

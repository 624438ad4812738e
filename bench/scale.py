"""Scale: two bridges beside one on no-op jobs, four worker processes beside two on jobs that sleep 20 ms."""

from dataclasses import dataclass, field

from bench.contestants import bridge
from bench.drain import drain
from bench.run import Run

_BRIDGES = {number: bridge(f"bridges_{number}", bridges=number) for number in (1, 2)}
_WORKERS = {number: bridge(f"workers_{number}", processes=number, actor="nap") for number in (2, 4)}


@dataclass(frozen=True)
class Scale:
    """Jobs a second, by the number of bridges or worker processes, and by round."""

    bridges: dict[int, list[float]] = field(default_factory=lambda: {number: [] for number in _BRIDGES})
    workers: dict[int, list[float]] = field(default_factory=lambda: {number: [] for number in _WORKERS})


def measure(run: Run) -> Scale:
    found = Scale()
    for number in range(1, run.plan.scale_rounds + 1):
        for count, contestant in _BRIDGES.items():
            with run.part(f"scale, round {number}, bridges: {count}"):
                found.bridges[count].append(drain(run, contestant, run.plan.scale_jobs))
        for count, contestant in _WORKERS.items():
            with run.part(f"scale, round {number}, worker processes: {count}"):
                found.workers[count].append(drain(run, contestant, run.plan.nap_jobs))
    return found

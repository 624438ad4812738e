"""Small experiments beside the campaign, each of which gives one figure."""

import sys
from collections.abc import Callable, Sequence

from tests.campaign.experiments.deaths import bridge_kill, long_jobs, worker_kill
from tests.campaign.experiments.leases import false_reclaims, zombies
from tests.campaign.experiments.stores import half_open, redis_loss
from tests.campaign.experiments.testbed import Figure

EXPERIMENTS: dict[str, Callable[[float], Figure]] = {
    one.__name__: one for one in (worker_kill, bridge_kill, long_jobs, redis_loss, zombies, half_open, false_reclaims)
}


def run_experiments(names: Sequence[str], minutes: float) -> list[Figure]:
    """Run the named experiments, or all. Each takes about `minutes`."""
    figures = []
    for name in names or EXPERIMENTS:
        sys.stderr.write(f"experiment: {name}, {minutes:g} min\n")
        figures.append(EXPERIMENTS[name](minutes))
        sys.stderr.write(f"{figures[-1].text}\n")
    return figures


def as_table(figures: Sequence[Figure]) -> str:
    """Markdown."""
    lines = ["| experiment | found | promises |", "|---|---|---|"]
    lines += [f"| {one.name} | {one.text} | {'kept' if one.holds else 'BROKEN'} |" for one in figures]
    return "\n".join(lines)

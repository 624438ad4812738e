"""`python -m tests.campaign`: jobs under faults, and a report. Exit code 1 if a promise was broken."""

import argparse
import json
import random
import sys
from pathlib import Path

from tests.campaign.campaign import Options, run
from tests.campaign.experiments import EXPERIMENTS, as_table, run_experiments
from tests.campaign.faults import KINDS
from tests.campaign.report import as_json, as_markdown
from tests.support.stopping import run_command


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--seed", type=int, help="the same seed makes the same jobs and faults (default: a new one)")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--faults", type=int, default=1_000)
    parser.add_argument("--minutes", type=float, help="for load and faults, by default 16; the last jobs get 2 more")
    parser.add_argument("--only", nargs="+", choices=KINDS, metavar="FAULT", default=[], help="these kinds of faults")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures, besides")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="the logs, also when all is well")
    parser.add_argument(
        "--experiments", nargs="*", choices=EXPERIMENTS, metavar="NAME",
        help=f"single figures instead of a campaign: {', '.join(EXPERIMENTS)}; --minutes is for each",
    )  # fmt: skip
    options = parser.parse_args()
    if options.experiments is not None:
        figures = run_experiments(options.experiments, options.minutes or 2)
        sys.stdout.write(as_table(figures) + "\n")
        return 0 if all(figure.holds for figure in figures) else 1
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    outcome = run(Options(seed, options.jobs, options.faults, options.minutes or 16, tuple(options.only), options.keep))
    sys.stdout.write(as_markdown(outcome) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(outcome), indent=1))
    return 0 if outcome.verdict.holds else 1


if __name__ == "__main__":
    run_command("campaign", main)

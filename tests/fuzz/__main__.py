"""`python -m tests.fuzz`: bad inputs for real processes, and tables of the results.

Exit code 1 if a promise was broken.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from bridge.postgres.migrations import migrate_up
from tests.fuzz.run import Size, run
from tests.support.running_stores import running_stores
from tests.support.stopping import run_command


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, help="the same seed makes the same inputs (default: a new one)")
    parser.add_argument("--requests", type=int, default=100_000, help="every twentieth goes over a socket")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the logs stay")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        folder = options.keep or Path(made)
        folder.mkdir(exist_ok=True)
        with running_stores(Path(made) / "stores") as stores:
            dsn = stores.postgres.url()
            migrate_up(dsn)
            tallies = run(Size(seed, options.requests, options.messages), dsn, stores.redis.url, folder)
    for title, tally in tallies.items():
        sys.stdout.write(tally.as_table(title) + "\n\n")
    holds = all(tally.holds for tally in tallies.values())
    said = "nothing broke" if holds else "PROMISES BROKE"
    sys.stdout.write(f"seed {seed}, {time.monotonic() - began:.0f} s: {said}\n")
    return 0 if holds else 1


if __name__ == "__main__":
    run_command("fuzz", main)

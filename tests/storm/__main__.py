"""`python -m tests.storm`: coding sessions under kills, and a report. Exit code 1 if a promise was broken."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from bridge.postgres.migrations import migrate_up
from tests.storm.report import as_text
from tests.storm.storm import Options, run
from tests.storm.world import Size, open_world
from tests.support.running_stores import running_stores
from tests.support.stopping import run_command


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--zombies", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=30, help="for the strikes; the last sessions get two more")
    parser.add_argument("--rate", type=float, default=2.0, help="strikes a second at most")
    parser.add_argument("--workers", type=int, default=6, help="worker processes, one of them supervised")
    parser.add_argument("--threads", type=int, default=2, help="of each worker process")
    parser.add_argument("--agent", choices=["claude", "claude-agent-sdk"], default="claude")
    asked = parser.parse_args()
    size = Size(1, asked.workers - 1, asked.threads, asked.agent)
    with tempfile.TemporaryDirectory(prefix="mobvibe-storm-stores-") as folder:
        Path(folder).chmod(0o755)  # Postgres may run as another user
        with running_stores(Path(folder, "stores")) as stores:
            migrate_up(stores.postgres.url())
            options = Options(asked.kills, asked.zombies, asked.minutes, asked.seed, asked.rate, size)
            with open_world(size, stores.postgres.url(), stores.redis.url) as world:
                outcome = run(options, world)
    sys.stdout.write(as_text(outcome) + "\n")
    return 0 if outcome.verdict.holds and not outcome.strikes.alive_afterwards and outcome.is_whole else 1


if __name__ == "__main__":
    run_command("storm", main)

"""`python -m bench.failover`: a primary of Redis is killed, frozen and demoted under load, watched by real Sentinels.

Prints how long jobs waited at most, and that none was lost or ran twice; exit code 1 if a figure was missed.
"""

import argparse
import tempfile
from pathlib import Path

from bench.stores import open_stores
from tests.support.failovers import KINDS, run
from tests.support.redis_groups import watched
from tests.support.stopping import run_command

_PAUSE_SECONDS = 10.0  # what the product promises: from the commit of a job to its first start


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    parser.add_argument("--rate", type=float, default=50, help="jobs a second")
    parser.add_argument("--rounds", type=int, default=3, help="failovers of each kind")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--down-after", type=int, default=2000, help="the Sentinels' down-after-milliseconds")
    asked = parser.parse_args()
    print(f"down-after-milliseconds {asked.down_after}, {asked.rate:g} jobs/s, two bridges, two workers, web")
    print("| failover | jobs | lost | ran twice | pause of each, s | of that, the Sentinels' choice, s |")
    print("|---|---|---|---|---|---|", flush=True)
    return max([_measure(kind, asked) for kind in asked.kinds])


def _measure(kind: str, asked: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="mobvibe-failover-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may run as another user
        work = folder / "work"
        work.mkdir()
        with (
            open_stores(folder / "stores") as stores,
            stores.database(migrated=False) as dsn,
            watched(folder / "redis", down_after_ms=asked.down_after) as group,
        ):
            group.be_as_usual()
            roles = ("bridge", "bridge", "worker", "worker", "web")
            outcome = run([kind] * asked.rounds, dsn, group, work, rate=asked.rate, roles=roles, between=100)
    verdict = outcome.verdict
    figures = (kind, verdict.jobs, verdict.lost, verdict.doubled, _shown(outcome.pauses), _shown(outcome.chosen))
    print(f"| {' | '.join(map(str, figures))} |", flush=True)
    for trouble in outcome.troubles:
        print(trouble)
    return int(bool(verdict.lost or verdict.doubled or outcome.troubles) or max(outcome.pauses) > _PAUSE_SECONDS)


def _shown(seconds: list[float]) -> str:
    return " ".join(f"{one:.1f}" for one in seconds)


if __name__ == "__main__":
    run_command("failover", main)

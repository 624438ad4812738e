"""`python -m tests.rollout`: today's release over the one before it, and back, under load; a table, and exit code 1 if
a figure was missed. Takes two minutes.
"""

import argparse
import tempfile
from pathlib import Path

from tests.rollout.rollout import Options, Outcome, run
from tests.support.running_stores import running_stores
from tests.support.stopping import run_command

_P99_SECONDS = 5.0  # what a user may wait while a deployment goes on


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rollout", description=__doc__)
    parser.add_argument("--rate", type=float, default=50, help="jobs a second")
    parser.add_argument("--between", type=int, default=100, help="jobs that end between two steps")
    asked = parser.parse_args()
    roles = ("bridge", "bridge", "worker", "worker", "web")
    with tempfile.TemporaryDirectory(prefix="mobvibe-rollout-") as folder:
        Path(folder).chmod(0o755)  # Postgres may run as another user
        work = Path(folder, "work")
        work.mkdir()
        options = Options(asked.rate, roles, asked.between)
        with running_stores(Path(folder, "stores")) as stores:
            outcome = run(options, stores.postgres.url(), stores.redis.url, work, lambda step: print(step, flush=True))
    return _report(outcome)


def _report(outcome: Outcome) -> int:
    verdict = outcome.verdict
    rows = [
        ("jobs", str(verdict.jobs), "", True),
        ("lost", str(verdict.lost), "0", verdict.lost == 0),
        ("doubled", str(verdict.doubled), "0", verdict.doubled == 0),
        ("commit → start, p99", f"{verdict.p99:.2f} s", f"≤ {_P99_SECONDS:g} s", verdict.p99 <= _P99_SECONDS),
        ("commit → start, longest", f"{max(verdict.late):.2f} s", "", True),
        ("troubles of processes", str(len(outcome.troubles)), "0", not outcome.troubles),
    ]
    print("| figure | seen | must | met |\n|---|---|---|---|")
    for name, seen, must, met in rows:
        print(f"| {name} | {seen} | {must} | {'yes' if met else 'NO'} |")
    for line in [*outcome.troubles, *(f"warned: {line}" for line in outcome.warnings)]:
        print(line)
    return 0 if all(met for *_, met in rows) else 1


if __name__ == "__main__":
    run_command("rollout", main)

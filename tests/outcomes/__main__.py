"""python -m tests.outcomes: tries every way to end and prints its outcome. Exit code 1 if one differs."""

import argparse
import sys
import time

from tests.outcomes.ends import End, all_ends
from tests.outcomes.table import table
from tests.outcomes.trial import Seen, attempt
from tests.outcomes.world import open_world


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.outcomes", description=__doc__)
    parser.add_argument("--only", default="", help="those whose title holds this")
    parser.add_argument(
        "--unresponsive-seconds",
        type=float,
        help="time of an actor that does not react to its interrupt, instead of 30",
    )
    parser.add_argument("--table", action="store_true", help="print the tables of docs/reference/outcomes.md instead")
    options = parser.parse_args()
    if options.table:
        sys.stdout.write(table())
        return 0
    ends = [end for end in all_ends() if options.only in end.title]
    wrong = 0
    with open_world(options.unresponsive_seconds) as world:
        for end in ends:
            began = time.monotonic()
            seen = attempt(world, end)
            _print(end, seen, time.monotonic() - began)
            wrong += bool(seen.wrong)
    sys.stdout.write(f"{len(ends)} ends tried, {wrong} not as they must be\n")
    return 1 if wrong else 0


def _print(end: End, seen: Seen, seconds: float) -> None:
    mark = "WRONG" if seen.wrong else ""
    error = ascii(seen.error or "")[1:60]
    sys.stdout.write(
        f"{mark:6}{end.title:58} {end.actor:22} {seen.status:9} {', '.join(seen.ledger):19} {seconds:5.1f} s  {error}\n"
    )
    for difference in seen.wrong:
        sys.stdout.write(f"          {difference[:300]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

"""The command line of `python -m bench`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import CONTESTANTS
from bench.document import BEGIN, END
from bench.plan import FULL, QUICK, Plan

COMPARED = ("drain", "latency")
MEASUREMENTS = (
    *COMPARED,
    "pooler",
    "growth",
    "held",
    "insert",
    "idle",
    "scale",
    "priority",
    "recovery",
    "ways",
    "faults",
)


@dataclass(frozen=True)
class Options:
    plan: Plan
    json: bool
    file: Path | None
    measurements: tuple[str, ...]
    contestants: tuple[str, ...] | None  # None: as in the plan

    def of(self, planned: Sequence[str] | None) -> tuple[str, ...]:
        """The contestants of the plan that take part in a measurement."""
        planned = planned or tuple(CONTESTANTS)
        return tuple(name for name in self.contestants or planned if name in CONTESTANTS)


def read_options(arguments: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures this project beside its peers on stores of its own: the goals, then a table for each "
        "measurement, in Markdown on standard output; progress on standard error. Exit code 1 when something failed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="measurements: " + " ".join(MEASUREMENTS) + "\ncontestants:  " + " ".join(CONTESTANTS) + "\n\n"
        "--only takes both. Measurements choose what is measured. Contestants choose who takes part in drain and\n"
        "latency, in any size of run; with contestants alone, nothing but those two is measured.\n"
        "--only drain bridge dramatiq measures the drain of these two.",
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: some minutes, rough figures")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output, no Markdown")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", choices=(*MEASUREMENTS, *CONTESTANTS),
        help="these measurements, and these contestants",
    )  # fmt: skip
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"write the Markdown into FILE, between {BEGIN} and {END}, too"
    )
    given = parser.parse_args(arguments)
    measurements = tuple(name for name in MEASUREMENTS if name in given.only)
    contestants = tuple(name for name in CONTESTANTS if name in given.only)
    return Options(
        QUICK if given.quick else FULL,
        given.json,
        given.write,
        measurements or (COMPARED if contestants else MEASUREMENTS),
        contestants or None,
    )

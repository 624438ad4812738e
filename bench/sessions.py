"""`python -m bench.sessions`: what coding sessions promise, measured with real processes and a fake of the model's API.

It prints a table: what was seen, what it must be, and whether it is. Exit code 1 when something was missed or could not
be measured. Takes ten minutes and needs bubblewrap; `--quick` takes less of each. Kills at full size: `make faults`.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.run import say
from bench.sessions_memory import worker_memory
from bench.sessions_readers import many_streams
from bench.sessions_sandbox import sandboxes
from bench.sessions_turns import budget, cancel, dead_worker, deltas, first_token, secrets
from bench.sessions_world import Figure, World, open_world
from bench.stores import Stores, open_stores
from bridge.runtime.parent_watch import adopt_orphans

_WORK = Path(".bench")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sessions", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of each measurement")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="measurements by name")
    asked = parser.parse_args()
    adopt_orphans()
    figures: list[Figure] = []
    with ExitStack() as stack:
        _WORK.mkdir(exist_ok=True)
        stores_folder = stack.enter_context(tempfile.TemporaryDirectory(dir=_WORK, prefix="stores-"))
        stores = stack.enter_context(open_stores(Path(stores_folder).resolve()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sessions-")))
        folder.chmod(0o755)  # sandboxes have accounts of their own
        for name, measure in _measurements(stores, folder, 1 if asked.quick else 4).items():
            if not asked.only or name in asked.only:
                figures += _measured(name, measure)
    print(_table(figures))
    return 0 if figures and all(figure.is_met for figure in figures) else 1


def _measurements(stores: Stores, folder: Path, times: int) -> dict[str, Callable[[], Iterator[Figure]]]:
    def in_world(measure: Callable[[World], Iterator[Figure]]) -> Callable[[], Iterator[Figure]]:
        def run() -> Iterator[Figure]:
            with open_world(stores, Path(tempfile.mkdtemp(dir=folder))) as world:
                yield from measure(world)

        return run

    return {
        "token": in_world(partial(first_token, times=15 * times)),
        "deltas": in_world(partial(deltas, count=400 * times, readers=40)),
        "dead": in_world(partial(dead_worker, times=4 * times)),
        "cancel": in_world(partial(cancel, times=8 * times)),
        "budget": in_world(partial(budget, sessions=4)),
        "secrets": in_world(partial(secrets, count=30)),
        "sandbox": partial(sandboxes, folder, 15 * times, 3 * times),
        "streams": in_world(partial(many_streams, count=1000, seconds=10.0 * times)),
        "memory": partial(worker_memory, stores),
    }


def _measured(name: str, measure: Callable[[], Iterator[Figure]]) -> list[Figure]:
    """A failure is a figure that was not measured: the others took long enough."""
    say(name)
    began = time.monotonic()
    found: list[Figure] = []
    try:
        for figure in measure():
            found.append(figure)
            say(_row(figure))
    except Exception as error:  # noqa: BLE001 -- whatever it was, it is in the table
        traceback.print_exc()
        found.append(Figure(name, None, 0, "", f"{type(error).__name__}: {error}"))
    say(f"{name}: {time.monotonic() - began:.0f} s")
    return found


def _table(figures: list[Figure]) -> str:
    return "\n".join(["| figure | seen | must | met | |", "|---|---|---|---|---|", *map(_row, figures)])


def _row(figure: Figure) -> str:
    seen = "not measured" if figure.seen is None else f"{figure.seen:.4g} {figure.unit}".strip()
    must = f"≤ {figure.must:g} {figure.unit}".strip()
    return f"| {figure.name} | {seen} | {must} | {'yes' if figure.is_met else 'NO'} | {figure.note} |"


if __name__ == "__main__":
    sys.exit(main())

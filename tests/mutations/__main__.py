"""python -m tests.mutations: which condition of the SQL functions can be removed without a test failing?"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

import psycopg

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.migrations import migrate_up
from tests.conftest import FAST
from tests.mutations.mutants import ALL_TESTS, Mutant, NothingToMutateError, mutants
from tests.support.running_stores import running_stores
from tests.support.stopping import run_command

ROOT = Path(__file__).parents[2]
BASE, TEMPLATE = "mutation_base", "mutant"
ONE_RUN_SECONDS = 1200
LANES_MOST = 16
LANES_PER_CORE = 3  # the tests wait longer than they compute


class BrokenRunError(Exception):
    """The tests neither passed nor failed."""


class Lane:
    """A Postgres and a Redis of its own for one run of the tests at a time.

    If two runs shared a server, one could fail the tests of the other, and its mutant would count as caught: tests make
    roles, and empty Redis.
    """

    def __init__(self, stores: EmbeddedStores) -> None:
        self._postgres = stores.postgres.url("postgres").rpartition("/")[0]
        self._redis = stores.redis.url
        self._execute("postgres", f"CREATE DATABASE {BASE}")
        migrate_up(self.url(BASE))

    def url(self, database: str) -> str:
        return f"{self._postgres}/{database}"

    def _execute(self, database: str, statement: str) -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def run_tests(self, files: list[str], definition: str | None = None) -> tuple[bool, str]:
        """Run the tests with `definition` in place. Returns whether they passed, and the first that did not."""
        self._execute("postgres", f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        self._execute("postgres", f"CREATE DATABASE {TEMPLATE} TEMPLATE {BASE}")
        try:
            if definition is not None:
                self._execute(TEMPLATE, definition)
        except psycopg.Error as error:
            return False, f"Postgres itself: {str(error).splitlines()[0]}"
        return self._run_pytest(files)

    def _run_pytest(self, files: list[str]) -> tuple[bool, str]:
        environment = os.environ | {
            "TEST_DATABASE_URL": self.url("postgres"),
            "TEST_REDIS_URL": self._redis,
            "TEST_TEMPLATE": TEMPLATE,
            "TEST_SIZE": "unshrunk",
            "PGOPTIONS": "-c statement_timeout=10s",  # a mutant may never end
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *files]
        try:
            run = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=ONE_RUN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            # Every statement and every test has its own limit, so this time-out is not a result of the mutant.
            raise BrokenRunError(f"the tests came to no end in {ONE_RUN_SECONDS} s") from None
        failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if run.returncode not in {0, 1} or (run.returncode == 1 and not failed):
            raise BrokenRunError(f"pytest ended with {run.returncode}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        return run.returncode == 0, failed[0].split(" - ")[0].partition(" ")[2] if failed else ""


@contextmanager
def open_lanes(number: int) -> Iterator[list[Lane]]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stores = [stack.enter_context(running_stores(Path(folder) / f"lane{n}", FAST)) for n in range(number)]
        yield [Lane(one) for one in stores]


def try_all(lanes: list[Lane], chosen: list[Mutant], *, quick: bool) -> int:
    """Try each mutant and print a line for it. Returns how many survived."""
    survivors = 0
    free: SimpleQueue[Lane] = SimpleQueue()
    for one in lanes:
        free.put(one)

    def attempt(mutant: Mutant) -> tuple[bool, str]:
        lane = free.get()
        files = mutant.own_tests if quick else mutant.tests
        try:
            return lane.run_tests(files, mutant.definition)
        except BrokenRunError:  # of pytest itself, on a busy machine: this is no result
            return lane.run_tests(files, mutant.definition)
        finally:
            free.put(lane)

    tried = [mutant for mutant in chosen if mutant.reason is None]
    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            for mutant, (survived, killer) in zip(tried, pool.map(attempt, tried), strict=True):
                survivors += survived
                print(
                    f"{'SURVIVED' if survived else 'killed'}  {mutant.name}" + (f"  by {killer}" if killer else ""),
                    flush=True,
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for mutant in chosen:
        if mutant.reason is not None:
            print(f"equivalent  {mutant.name}  because {mutant.reason}")
    print(f"{len(tried)} tried, {survivors} survived, {len(chosen) - len(tried)} equivalent", flush=True)
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="part of the name of a mutant")
    parser.add_argument("--list", action="store_true", help="say what would be tried")
    parser.add_argument("--quick", action="store_true", help="only the tests that stand nearest to each function")
    parser.add_argument(
        "--lanes",
        type=int,
        choices=range(1, LANES_MOST + 1),
        metavar="N",
        default=min(LANES_PER_CORE * (os.cpu_count() or 1), LANES_MOST),
        help=f"how many at a time, {LANES_MOST} at the most: each has a Postgres and a Redis of its own",
    )
    args = parser.parse_args()
    began = time.monotonic()
    with open_lanes(args.lanes) as lanes:
        try:
            chosen = [
                mutant
                for mutant in mutants(lanes[0].url(BASE))
                if not args.only or any(part in mutant.name for part in args.only)
            ]
        except NothingToMutateError as error:
            print(f"Nothing to mutate: {error}")
            return 2
        if args.list:
            print("\n".join(mutant.name for mutant in chosen))
            return 0
        every = [f"tests/integration/{name}.py" for name in ALL_TESTS]
        passed, failed = (True, "") if args.quick else lanes[0].run_tests(every)
        if not passed:
            print(f"The tests fail without any mutation: {failed}")
            return 2
        survivors = try_all(lanes, chosen, quick=args.quick)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    run_command("mutations", main)

"""python -m tests.mutations: which condition of the SQL functions can be removed without a test failing?"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from queue import SimpleQueue

import psycopg

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.migrations import migrate_up
from tests.conftest import FAST
from tests.mutations.mutants import ALL_TESTS, Mutant, NothingToMutateError, mutants
from tests.support.stopping import run_command

ROOT = Path(__file__).parents[2]
BASE = "mutation_base"
ONE_RUN_SECONDS = 1200
# It looks at all sessions of the server, and would take those of the other lanes for the cause.
OF_THE_SERVER = "tests/integration/postgres/test_statistics.py::test_who_holds_back_vacuum_is_named"
REDIS_DATABASES = 16  # of one server, unless it is configured otherwise
_numbers = count(1)


def redis_databases(url: str, lanes: int) -> list[str]:
    """The addresses of `lanes` databases of the Redis at `url`."""
    return [f"{url.rpartition('/')[0]}/{number}" for number in range(lanes)]


class MutationServers:
    """One Postgres and one Redis for all runs, with a template database and a Redis database for each.

    If two parallel runs shared a database, one could fail the tests of the other, and its mutant would count as caught.
    """

    def __init__(self, postgres: str, redis: str, lanes: int) -> None:
        self._postgres = postgres
        self._free_redis: SimpleQueue[str] = SimpleQueue()
        for url in redis_databases(redis, lanes):
            self._free_redis.put(url)

    def url(self, database: str) -> str:
        return f"{self._postgres}/{database}"

    def execute(self, database: str, statement: str) -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def run_tests(self, files: list[str], definition: str | None = None) -> tuple[bool, str]:
        """Run the tests with `definition` in place. Returns whether they passed, and the first that did not."""
        with self._databases() as (template, redis):
            try:
                if definition is not None:
                    self.execute(template, definition)
            except psycopg.Error as error:
                return False, f"Postgres itself: {str(error).splitlines()[0]}"
            return self._run_pytest(files, template, redis)

    @contextmanager
    def _databases(self) -> Iterator[tuple[str, str]]:
        """The databases of one run: the name of its template, and the address of its Redis."""
        template, redis = f"mutant_{next(_numbers)}", self._free_redis.get_nowait()
        self.execute("postgres", f"CREATE DATABASE {template} TEMPLATE {BASE}")
        try:
            yield template, redis
        finally:
            self.execute("postgres", f"DROP DATABASE {template} WITH (FORCE)")
            self._free_redis.put(redis)

    def _run_pytest(self, files: list[str], template: str, redis: str) -> tuple[bool, str]:
        environment = os.environ | {
            "TEST_DATABASE_URL": self.url("postgres"),
            "TEST_REDIS_URL": redis,
            "TEST_TEMPLATE": template,
            "TEST_SIZE": "unshrunk",
            "PGOPTIONS": "-c statement_timeout=10s",  # a mutant may never end
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *files]
        command += ["--deselect", OF_THE_SERVER]
        try:
            run = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=ONE_RUN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            # Every statement and every test has its own limit, so this time-out is not a result of the mutant.
            raise RuntimeError(f"the tests came to no end in {ONE_RUN_SECONDS} s") from None
        failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if run.returncode not in {0, 1} or (run.returncode == 1 and not failed):
            raise RuntimeError(f"pytest ended with {run.returncode}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        return run.returncode == 0, failed[0].split(" - ")[0].partition(" ")[2] if failed else ""


def try_all(servers: MutationServers, chosen: list[Mutant], lanes: int, *, quick: bool) -> int:
    """Try each mutant and print a line for it. Returns how many survived."""
    survivors = 0

    def attempt(mutant: Mutant) -> tuple[bool, str]:
        return servers.run_tests(mutant.own_tests if quick else mutant.tests, mutant.definition)

    tried = [mutant for mutant in chosen if mutant.reason is None]
    with ThreadPoolExecutor(lanes) as pool:
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
        choices=range(1, REDIS_DATABASES + 1),
        metavar="N",
        default=min(os.cpu_count() or 1, REDIS_DATABASES),
        help=f"how many at a time, {REDIS_DATABASES} at the most",
    )
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        stores = EmbeddedStores(Path(folder), FAST)
        stores.open_folder()
        stores.start()
        try:
            servers = MutationServers(stores.postgres.url("postgres").rpartition("/")[0], stores.redis.url, args.lanes)
            servers.execute("postgres", f"CREATE DATABASE {BASE}")
            migrate_up(servers.url(BASE))
            chosen = [
                mutant
                for mutant in mutants(servers.url(BASE))
                if not args.only or any(part in mutant.name for part in args.only)
            ]
            if args.list:
                print("\n".join(mutant.name for mutant in chosen))
                return 0
            every = [f"tests/integration/{name}.py" for name in ALL_TESTS]
            passed, failed = (True, "") if args.quick else servers.run_tests(every)
            if not passed:
                print(f"The tests fail without any mutation: {failed}")
                return 2
            survivors = try_all(servers, chosen, args.lanes, quick=args.quick)
        except NothingToMutateError as error:
            print(f"Nothing to mutate: {error}")
            return 2
        finally:
            stores.stop()
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    run_command("mutations", main)

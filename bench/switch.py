"""`python -m bench.switch`: from the Node worker to the bridge and back, in a database with rows in all states.

A played Node worker and clients that insert use the database all the time. The bridge comes in, works beside the Node
worker, then alone; then the way back is taken, and the Node worker does the rest. Prints how long the strong locks were
held and what clients waited. Exits with 1 if a job was lost or run twice, or if something of the host's has changed
that the doctor had not named.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.stores import open_stores
from bench.switch_world import World, number_of
from tests.support import legacy
from tests.support.catalog import catalog, changed, is_named, is_of_the_host
from tests.support.rows import Rows

_REFUSED = 4  # the exit code of a command that found something in the way
_OVER_SECONDS = 600  # for what takes seconds: until then it may be a slow machine
_POLL_SECONDS = 0.5  # what is asked for may read the whole table
_LONGEST_LOCK_SECONDS = 2.0  # the goal
_WAITING = "SELECT count(*) FROM (SELECT FROM coding_jobs WHERE status = 'pending' LIMIT 100) s"
# A job that was handed over and not started has no started_at; those of the old backlog have one of long ago.
_IN_WORK = (
    "SELECT count(*) FROM coding_jobs"
    " WHERE status = 'processing' AND (started_at IS NULL OR started_at > now() - interval '2 hours')"
)


class Switch:
    """The story, step by step. `broken`: what was not as promised. `say` gets a line for each step."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        self.world = world
        self.broken: list[str] = []
        self.longest_lock = 0.0
        self._say = say
        self._rows = Rows(world.connection)

    def run(self, rows: int) -> None:
        self.world.fill(rows)
        before = catalog(self._rows)
        must_run = self._unfinished()
        self.world.start_node()
        self.world.start_clients()
        self._adopt(before)
        self._side_by_side()
        self._check_runs(must_run, "with the bridge alone")
        self._way_back(before)
        self._check_runs(must_run, "with the Node worker again")

    def _unfinished(self) -> set[int]:
        return {
            number_of(row["prompt"])
            for row in self._rows.all("SELECT prompt FROM coding_jobs WHERE status = 'pending'")
        }

    def _adopt(self, before: dict[str, str]) -> None:
        _, ahead, _, _ = self.world.mobvibe("doctor", "--database")
        self._migrate("up")
        after = catalog(self._rows)
        theirs = [name for name in changed(before, after) if name in before or is_of_the_host(name)]
        unnamed = [name for name in theirs if not is_named(name, ahead.splitlines())]
        self._say(f"{len(theirs)} changes of what is the host's, {len(unnamed)} of them not named beforehand")
        self.broken += [f"not named beforehand: {name}" for name in unnamed]

    def _migrate(self, way: str) -> None:
        count = self.world.value("SELECT count(*) FROM coding_jobs")
        code, output, took, locks = self.world.mobvibe("migrate", way)
        if code:
            raise RuntimeError(f"migrate {way}: {output}")
        longest = max(locks.values(), default=0.0)
        self.longest_lock = max(self.longest_lock, longest)
        self._say(f"migrate {way}: {count:,} rows in {took:.1f} s, longest strong lock {longest * 1000:.0f} ms")

    def _side_by_side(self) -> None:
        self.world.start_bridge()
        self._until("the bridge's first jobs", lambda: self.world.by_bridge() > 0)
        by_node = len(self.world.by_node)
        self._until("jobs of both", lambda: self.world.by_bridge() > 100 and len(self.world.by_node) > by_node + 100)  # noqa: PLR2004
        self.world.stop_node()
        alone = self.world.by_bridge()
        self._until("jobs of the bridge alone", lambda: self.world.by_bridge() > alone + 50)
        self._until("the end of the backlog", lambda: self.world.value(_WAITING) < 100)  # noqa: PLR2004 -- what clients insert meanwhile
        self._say(f"side by side: {len(self.world.by_node):,} jobs by the Node worker, {alone:,} by the bridge, then"
                  f" {self.world.by_bridge() - alone:,} by the bridge alone")  # fmt: skip

    def _way_back(self, before: dict[str, str]) -> None:
        code, output, _, _ = self.world.mobvibe("migrate", "down")
        if code != _REFUSED or "live: " not in output:
            self.broken.append(f"migrate down beside a live bridge ended with {code}: {output}")
        self.world.start_clients()
        self.world.start_node()
        self.world.stop_bridge()
        by_node = len(self.world.by_node)
        self._migrate("down")
        self._until("jobs of the Node worker", lambda: len(self.world.by_node) > by_node + 100)
        self._say(f"the Node worker has done {len(self.world.by_node) - by_node:,} jobs since the bridge's end")
        left = [name for name in changed(before, catalog(self._rows)) if name in before or is_of_the_host(name)]
        self.broken += [
            f"differs after the way back: {name}" for name in left if not name.startswith("column coding_jobs.")
        ]

    def _check_runs(self, must_run: set[int], when: str) -> None:
        """Let the clients stop and all jobs end, then compare the runs with what was there and what was inserted."""
        self.world.stop_clients()
        self._until("the last job", lambda: self.world.value(f"SELECT ({_WAITING}) + ({_IN_WORK})") == 0)
        runs = self.world.runs()
        expected = must_run | {number for client in self.world.clients for number in client.inserted}
        lost, doubled = expected - runs.keys(), [number for number, times in runs.items() if times > 1]
        failed = [error for client in self.world.clients for error in client.failed]
        longest = max(client.longest for client in self.world.clients)
        self._say(
            f"{when}: {len(expected):,} jobs, {len(lost)} lost, {len(doubled)} doubled;"
            f" clients' longest statement {longest * 1000:.0f} ms, {len(failed)} failed"
        )
        for what, found in (
            ("lost", lost),
            ("doubled", doubled),
            ("failed", failed),
            ("unknown", runs.keys() - expected),
        ):
            self.broken += [f"{what} {when}: {one}" for one in list(found)[:3]]

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _OVER_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not come")
            time.sleep(_POLL_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    work = Path(".bench")
    work.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=work, prefix="switch-") as folder,
        open_stores(Path(folder).resolve() / "stores") as stores,
        stores.database(migrated=False) as dsn,
    ):
        world = World(dsn, stores.redis_url, Path(folder).resolve())
        world.connection.execute(legacy.ROLES.encode())
        switch = Switch(world, print)
        try:
            switch.run(rows)
        finally:
            world.close()
    broken = [
        *switch.broken,
        *[f"a strong lock was held for {switch.longest_lock:.1f} s"] * (switch.longest_lock > _LONGEST_LOCK_SECONDS),
    ]
    print("\n".join(broken) or "nothing lost, nothing doubled, nothing changed unnamed")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()

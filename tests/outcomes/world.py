"""One bridge and one worker process over stores of their own, and their log lines."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.migrations import migrate_up
from tests.campaign.services import BIN, ROOT, Service, continue_and_kill
from tests.support.rows import Rows

SLOTS = 3
_LEVELS = {30: "info", 40: "warn", 50: "error", 60: "fatal"}


class World:
    """One thread starts and watches the processes: it must call `tick` often."""

    def __init__(self, folder: Path, unresponsive_seconds: float | None) -> None:
        self.stores = EmbeddedStores(folder / "stores")
        self.stores.open_folder()
        self.stores.start()
        dsn = self.stores.postgres.url()
        migrate_up(dsn)
        self.rows = Rows(psycopg.connect(dsn, autocommit=True))
        environment = {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": dsn,
            "REDIS_URL": self.stores.redis.url,
            "ACTORS_MODULE": "tests.outcomes.actors",
            "LEASE_MS": "3000",
            "SHUTDOWN_TIMEOUT_MS": "500",
            "LOG_FORMAT": "json",
            "MOBVIBE_DIR": str(folder / "mobvibe"),
        } | ({} if unresponsive_seconds is None else {"UNRESPONSIVE_SECONDS": str(unresponsive_seconds)})
        self.bridge = Service("bridge", [sys.executable, "-m", "bridge", "run"], environment, folder)
        dramatiq = [str(BIN / "dramatiq"), "tests.outcomes.actors", "-p", "1", "-t", str(SLOTS), "--skip-logging"]
        self.worker = Service("worker", dramatiq, environment, folder)

    def start(self) -> None:
        self.bridge.start()
        self.worker.start()
        self.wait(60, lambda: self.registered() is not None, "a registered worker")

    def wait(self, seconds: float, until: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no {what} within {seconds:.0f} s")
            self.bridge.tick()
            self.worker.tick()
            time.sleep(0.02)

    def registered(self) -> str | None:
        """The name of the worker process that takes jobs now."""
        found = self.rows.all("SELECT name FROM workers WHERE stopped_at IS NULL ORDER BY started_at DESC LIMIT 1")
        if not found:
            return None
        name = str(found[0]["name"])
        return name if psutil.pid_exists(int(name.rpartition(":")[2])) else None

    def process_count(self) -> int:
        """The number of processes below Dramatiq's parent: the one that runs actors, and those that it started."""
        return sum(_runs(child) for child in psutil.Process(self.worker.pid).children(recursive=True))

    def log_size(self) -> int:
        return self.worker.log.stat().st_size

    def log_since(self, offset: int) -> list[dict[str, Any]]:
        """The worker's log lines after the byte `offset`, with `text` as "level: message"."""
        with self.worker.log.open("rb") as log:
            log.seek(offset)
            lines = log.read().split(b"\n")
        found = []
        for line in lines:
            begin = line.find(b'{"level"')  # an actor may have written before it, without an end of line
            if begin < 0:
                continue
            try:
                entry = json.loads(line[begin:])
            except ValueError:
                continue
            found.append(entry | {"text": f"{_LEVELS.get(entry['level'], '?')}: {entry['msg']}"})
        return found

    def close(self) -> None:
        services = (self.worker, self.bridge)
        pids = [service.pid for service in services if service.pid is not None]
        family = [one for pid in pids for one in (*psutil.Process(pid).children(recursive=True), psutil.Process(pid))]
        continue_and_kill(family)
        for service in services:
            service.reap()
        self.rows.connection.close()
        self.stores.stop()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def open_world(unresponsive_seconds: float | None = None) -> Iterator[World]:
    """A worker that is ready to take jobs. All processes are ended, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="mobvibe-outcomes-"))
    folder.chmod(0o755)  # Postgres may run as another user
    world: World | None = None
    try:
        world = World(folder, unresponsive_seconds)
        world.start()
        yield world
    finally:
        if world is not None:
            world.close()
        shutil.rmtree(folder, ignore_errors=True)

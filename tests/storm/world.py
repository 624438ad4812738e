"""Everything that a storm runs: bridge and workers as processes, and the model's API as another one."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from bridge.runtime.parent_watch import adopt_orphans, dies_with_parent
from tests.campaign.services import BIN, ROOT, Service, continue_and_kill
from tests.campaign.world import children_of
from tests.storm.preloaded import PreloadedService, forking
from tests.storm.script import write_script

LEASE_SECONDS = 3.0
_REAP_SECONDS = 1.0
_KEY = "made-up-for-a-storm"
_NAMESPACE = "storm"


@dataclass(frozen=True)
class Size:
    supervised: int = 2
    """Of `mobvibe worker`, which learns at once that its worker process died."""
    plain: int = 2
    """Of `dramatiq` by itself, which start quickly (preloaded.py); their jobs are lost until their lease is over."""
    threads: int = 3
    agent: str = "claude"

    @property
    def workers(self) -> int:
        return self.supervised + self.plain


class World:
    """Made by `open_world`. One thread starts and watches the processes: it must call `tick` often."""

    def __init__(self, folder: Path, size: Size, dsn: str, redis_url: str) -> None:
        self.folder, self.size, self.dsn = folder, size, dsn
        self._reaped_at = 0.0
        self.workspaces = folder / "mobvibe" / "workspaces"
        write_script(folder / "script.json")
        self._model = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fake_anthropic", str(folder / "script.json")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- no thread holds a lock here
        )
        assert self._model.stdout is not None
        self._model_url = self._model.stdout.readline().strip()
        environment = self._environment(redis_url)

        def service(name: str, *command: str) -> Service:
            return Service(name, command, environment, folder)

        self.bridge = service("bridge", sys.executable, "-m", "bridge", "run")
        self.supervised = [
            service(f"worker-{n}", sys.executable, "-m", "bridge", "worker") for n in range(size.supervised)
        ]
        context = forking()
        self.plain = [
            PreloadedService(f"dramatiq-{n}", context, size.threads, environment, folder) for n in range(size.plain)
        ]
        self.connection: psycopg.Connection[dict[str, Any]] = psycopg.connect(
            dsn, autocommit=True, row_factory=dict_row, application_name="storm"
        )

    def _environment(self, redis_url: str) -> dict[str, str]:
        return {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.dsn,
            "REDIS_URL": redis_url,
            "REDIS_NAMESPACE": _NAMESPACE,
            "LEASE_MS": str(int(LEASE_SECONDS * 1000)),
            "SHUTDOWN_TIMEOUT_MS": "1000",
            "MAX_CONCURRENT_JOBS": str(self.size.threads),
            "LOG_LEVEL": "warn",
            "LOG_FORMAT": "json",
            "MOBVIBE_DIR": str(self.folder / "mobvibe"),
            "MOBVIBE_TEST_BUILD": "1",
            "ANTHROPIC_API_KEY": _KEY,
            "ANTHROPIC_BASE_URL": self._model_url,
            "AGENT": self.size.agent,
        }

    @property
    def workers(self) -> Sequence[Service]:
        return [*self.supervised, *self.plain]

    def start(self) -> None:
        for service in [self.bridge, *self.workers]:
            service.start()

    def tick(self) -> None:
        """Restart processes that died."""
        for service in [self.bridge, *self.workers]:
            service.tick()
        self._reap_orphans()

    def _reap_orphans(self) -> None:
        """What a killed worker leaves behind becomes ours (adopt_orphans), and ends: nobody else waits for it."""
        if time.monotonic() - self._reaped_at < _REAP_SECONDS:
            return
        self._reaped_at = time.monotonic()
        ours = {self._model.pid, *(service.pid for service in [self.bridge, *self.workers])}
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if child.pid not in ours and child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)

    def rows(self, query: str, params: Any = None) -> list[dict[str, Any]]:
        return self.connection.execute(query, params).fetchall()

    def requests(self) -> int:
        """How many requests the model has got."""
        with urllib.request.urlopen(f"{self._model_url}/count", timeout=10) as answer:
            return int(answer.read())

    def close(self) -> None:
        """End every process that a storm has started, even frozen ones. The stores are not ours."""
        self.connection.close()
        roots = [service.pid for service in [self.bridge, *self.workers]] + [self._model.pid]
        family = [one for one in children_of(os.getpid()) if one.pid in roots]
        family += [child for one in family for child in children_of(one.pid)]
        continue_and_kill(family)
        for service in [self.bridge, *self.workers]:
            service.reap()
        self._model.communicate()


@contextmanager
def open_world(size: Size, dsn: str, redis_url: str) -> Iterator[World]:
    """Processes with a temporary folder. All are ended, whatever happens."""
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="mobvibe-storm-"))
    folder.chmod(0o755)  # sandboxes have accounts of their own
    try:
        world = World(folder, size, dsn, redis_url)
        try:
            world.start()
            yield world
        finally:
            world.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""What sessions are measured with: stores, the processes of an installation, and a fake of the model's API."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

import psutil
import psycopg
from psycopg.rows import dict_row

from bench.stores import Stores
from bench.web import answers
from bridge.dev.embedded.server import pick_port
from bridge.runtime.parent_watch import dies_with_parent
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.scripted_replies import Reply

T = TypeVar("T")

_KEY = "made-up-for-a-measurement"
_PATIENCE_SECONDS = 90.0  # for anything that should happen at once: the machine may be busy
_SESSION = """
    WITH session AS (INSERT INTO coding_sessions (user_id) VALUES (%(user)s) RETURNING id)
    INSERT INTO coding_jobs (session_id, actor, queue, prompt)
    SELECT id, 'run_coding_session', 'coding', %(prompt)s FROM session RETURNING id, session_id"""


@dataclass(frozen=True)
class Figure:
    """One row of the table. `seen` None: it could not be measured, and `note` says why."""

    name: str
    seen: float | None
    must: float
    unit: str
    note: str = ""

    @property
    def is_met(self) -> bool:
        return self.seen is not None and self.seen <= self.must


@dataclass
class World:
    """`with World(…) as world`: a bridge, workers and a web process, which run until then."""

    stores: Stores
    url: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    model: FakeAnthropic = field(default_factory=lambda: FakeAnthropic([], key=_KEY))
    port: int = field(default_factory=pick_port)

    def __enter__(self) -> Self:
        self.model.__enter__()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.database: psycopg.Connection[dict[str, Any]] = psycopg.connect(
            self.url, autocommit=True, row_factory=dict_row
        )
        for name in ("run", "web"):
            self.start(name)
        self.until(lambda: answers(self.port), "a web process that answers")
        self.restart_worker()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            _end(process)
        self.database.close()
        self.model.__exit__()

    def start(self, name: str, **settings: str) -> None:
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "DATABASE_URL": self.url,
            "REDIS_URL": self.stores.redis_url, "HEALTH_CHECK_PORT": str(self.port), "LOG_LEVEL": "warn",
            "MOBVIBE_DIR": str(self.folder / "mobvibe"), "MAX_CONCURRENT_JOBS": "4", "WORKER_PROCESSES": "2",
            "ANTHROPIC_API_KEY": _KEY, "ANTHROPIC_BASE_URL": self.model.url,
        }  # fmt: skip
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", "bridge", name],
            env=environment | self.settings | settings,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- no thread holds a lock here
        )

    def restart_worker(self, **settings: str) -> None:
        if "worker" in self._processes:
            _end(self._processes.pop("worker"))
            self.database.execute("UPDATE workers SET stopped_at = now() WHERE stopped_at IS NULL")
        self.start("worker", **settings)
        self.until(lambda: len(self.worker_pids()) >= 1, "a worker")
        time.sleep(1)  # the second process of it comes up a moment later

    def web(self) -> psutil.Process:
        return psutil.Process(self._processes["web"].pid)

    def worker_pids(self) -> list[int]:
        names = self.rows("SELECT name FROM workers WHERE stopped_at IS NULL")
        return [pid for row in names if psutil.pid_exists(pid := int(row["name"].rpartition(":")[2]))]

    def worker_of(self, job_id: UUID) -> psutil.Process:
        query = "SELECT w.name FROM coding_jobs j JOIN workers w ON w.id = j.worker WHERE j.id = %s"
        return psutil.Process(int(self.rows(query, [job_id])[0]["name"].rpartition(":")[2]))

    def begin(self, prompt: str, replies: Sequence[Reply] = (), user: UUID | None = None) -> tuple[UUID, UUID]:
        """The ids of a session and of its job."""
        if replies:
            self.model.replies = replies
        (row,) = self.rows(_SESSION, {"user": user or uuid4(), "prompt": prompt})
        return row["session_id"], row["id"]

    def ended(self, job_id: UUID) -> str:
        """Waits for the end of a job; its status."""
        query = "SELECT status FROM coding_jobs WHERE id = %s AND status NOT IN ('pending', 'processing')"
        return str(self.until(lambda: self.rows(query, [job_id]), "the end of a turn", pause=0.02)[0]["status"])

    def rows(self, query: str, params: Any = None) -> list[dict[str, Any]]:
        return self.database.execute(query, params).fetchall()

    @staticmethod
    def until(condition: Callable[[], T], what: str, pause: float = 0.01) -> T:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {_PATIENCE_SECONDS:g} s in vain for {what}")
            time.sleep(pause)
        return value


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(45)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def open_world(stores: Stores, folder: Path) -> Iterator[World]:
    with stores.database(migrated=True) as url, World(stores, url, folder) as world:
        yield world

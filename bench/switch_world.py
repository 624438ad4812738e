"""A MobVibe database with rows in all states, its Node worker, its clients, and this project's processes."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from bench.adoption import Sampler
from bench.apps.record import Reader
from tests.support import legacy
from tests.support.played_node_worker import QUEUE, NodeWorker

APPS = Path(__file__).parent / "apps"
_NODES, _CLIENTS = 2, 2
_REST_SECONDS = 0.01  # between two inserts of a client
_RUN_SECONDS = 0.002  # of a job in the Node worker: longer than a claim, so that claims do not set the pace
_STOP_SECONDS = 60
_INSERTED = 10_000_000  # the numbers of rows that clients insert begin here

# What an adopter's project has beside the original schema.
_HOST = """
ALTER TABLE coding_sessions ADD COLUMN resumable boolean DEFAULT false;
CREATE POLICY "own jobs" ON coding_jobs FOR SELECT USING (session_id IS NOT NULL);
CREATE POLICY "insert events" ON session_events FOR INSERT WITH CHECK (true);
CREATE PUBLICATION supabase_realtime FOR TABLE session_events;
GRANT ALL ON session_usage TO service_role;
"""
_SESSIONS = """
WITH project AS (INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id)
INSERT INTO coding_sessions (user_id, project_id, initial_prompt, expires_at)
SELECT gen_random_uuid(), p.id, 'p', now() + interval '1 day' FROM project p, generate_series(1, 500)"""
# Of 100 rows 88 have completed, 5 have failed, and 7 wait, of which one has no priority and one has failed before. A
# few were in work when an earlier Node worker died. Those that wait are among the newest.
_JOBS = """
WITH session AS (SELECT id, row_number() OVER () - 1 AS place FROM coding_sessions)
INSERT INTO coding_jobs (session_id, prompt, status, priority, retry_count, error_message, created_at, started_at,
                         completed_at)
SELECT s.id, 'build me app ' || n, j.status, CASE WHEN n %% 100 = 1 THEN NULL ELSE n %% 3 END,
       CASE WHEN n %% 100 = 2 THEN 1 WHEN j.status = 'failed' THEN 3 ELSE 0 END,
       CASE WHEN j.status = 'failed' THEN 'boom' END,
       now() - n * interval '1 s' - interval '1 day',
       CASE WHEN j.status <> 'pending' THEN now() - n * interval '1 s' - interval '1 day' END,
       CASE WHEN j.status IN ('completed', 'failed') THEN now() - n * interval '1 s' END
FROM generate_series(1, %(rows)s) n
CROSS JOIN LATERAL (SELECT CASE WHEN n %% 1000 = 3 THEN 'processing' WHEN n %% 100 < 7 AND n <= 200000 THEN 'pending'
                                WHEN n %% 100 < 12 THEN 'failed' ELSE 'completed' END AS status) j
JOIN session s ON s.place = n %% 500"""


class Inserts(threading.Thread):
    """A client: inserts a job, as the app's server does. Keeps the numbers of its jobs and its longest statement."""

    def __init__(self, dsn: str, numbers: "itertools.count[int]") -> None:
        super().__init__(daemon=True)
        self._dsn, self._numbers = dsn, numbers
        self.over = threading.Event()
        self.inserted: list[int] = []
        self.failed: list[str] = []
        self.longest = 0.0

    def run(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True, application_name="their app") as connection:
            connection.execute("SET ROLE service_role")
            sessions = [row[0] for row in connection.execute("SELECT id FROM coding_sessions").fetchall()]
            while not self.over.wait(_REST_SECONDS):
                number, began = next(self._numbers), time.monotonic()
                try:
                    connection.execute(
                        "INSERT INTO coding_jobs (session_id, prompt, priority) VALUES (%s, %s, 1)",
                        [random.choice(sessions), f"build me app {number}"],  # noqa: S311
                    )
                    self.inserted.append(number)
                except psycopg.Error as error:
                    self.failed.append(str(error))
                self.longest = max(self.longest, time.monotonic() - began)


class World:
    """Everything that uses the database. `runs`: how often each job's number was run, by whom it may be."""

    def __init__(self, dsn: str, redis_url: str, folder: Path) -> None:
        self.dsn, self._folder = dsn, folder
        (folder / "records").mkdir()
        self._reader = Reader(folder / "records")
        self._environment = {
            **os.environ,
            "DATABASE_URL": dsn,
            "REDIS_URL": redis_url,
            "BENCH_RECORDS": str(folder / "records"),
        }
        self._environment |= {
            "PYTHONPATH": f"{APPS}:{APPS.parents[1]}",
            "ACTORS_MODULE": "bridge_app",
            "MAX_CONCURRENT_JOBS": "8",
        }
        self._environment |= {"MOBVIBE_DIR": str(folder / ".mobvibe"), "LOG_LEVEL": "warn", "NODE_ENV": "production"}
        self._stack = ExitStack()
        self.connection: psycopg.Connection[Any] = self._stack.enter_context(psycopg.connect(dsn, autocommit=True))
        self._log = self._stack.enter_context((folder / "log").open("ab"))
        self._numbers = itertools.count(_INSERTED)
        self.by_node: list[int] = []
        self.nodes: list[NodeWorker] = []
        self.clients: list[Inserts] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def fill(self, rows: int) -> None:
        events = legacy.session_events("data", checked=True)
        for text in (legacy.GENEROUS_DEFAULTS, legacy.SCHEMA, events, QUEUE, _HOST, _SESSIONS):
            self.connection.execute(text.encode())
        self.connection.execute(_JOBS, {"rows": rows})
        self.connection.execute("VACUUM ANALYZE coding_jobs")

    def start_clients(self) -> None:
        started = [Inserts(self.dsn, self._numbers) for _ in range(_CLIENTS)]
        for client in started:
            client.start()
        self.clients += started

    def stop_clients(self) -> None:
        for client in self.clients:
            client.over.set()
            client.join(_STOP_SECONDS)

    def start_node(self) -> None:
        self.nodes = [
            NodeWorker(self.dsn, self._run, role="service_role", poll_seconds=_REST_SECONDS) for _ in range(_NODES)
        ]
        for node in self.nodes:
            node.start()

    def stop_node(self) -> None:
        for node in self.nodes:
            node.stop()
            if node.errors:
                raise RuntimeError(f"the Node worker had {len(node.errors)} errors, the first: {node.errors[0]}")

    def _run(self, job: tuple[Any, ...]) -> None:
        time.sleep(_RUN_SECONDS)
        self.by_node.append(number_of(job[2]))

    def start_bridge(self) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "bridge", name],
                cwd=self._folder, env=self._environment, stdout=self._log, stderr=self._log, start_new_session=True,
            )
            for name in ("run", "worker")
        ]  # fmt: skip

    def stop_bridge(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(_STOP_SECONDS)
        self._processes = []

    def mobvibe(self, *arguments: str) -> tuple[int, str, float, dict[tuple[str, str], float]]:
        """Run a command. Its exit code, what it wrote, its seconds, and how long it held each strong lock."""
        sampler = Sampler(self.dsn)
        sampler.start()
        began = time.monotonic()
        result = subprocess.run(
            [sys.executable, "-m", "bridge", *arguments],
            cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        took = time.monotonic() - began
        sampler.over.set()
        sampler.join(_STOP_SECONDS)
        return result.returncode, result.stdout + result.stderr, took, dict(sampler.longest)

    def by_bridge(self) -> int:
        return self._reader.count()

    def runs(self) -> "Counter[int]":
        return Counter(self.by_node) + Counter(number for number, _ in self._reader.read())

    def value(self, query: str) -> Any:
        row = self.connection.execute(query.encode()).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        self.stop_clients()
        for node in self.nodes:
            node.stop()
        self.stop_bridge()
        self._stack.close()


def number_of(prompt: str) -> int:
    return int(prompt.rsplit(maxsplit=1)[-1])

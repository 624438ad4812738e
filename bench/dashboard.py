"""`python -m bench.dashboard`: what the pages cost, and how live they are, with many jobs in the table.

It prints a table: the server time of each page, the size of a first load, what open tabs add to Postgres and to the web
process, how long a commit takes to reach a tab, and how `/livez` answers while many slow clients hold connections.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from bench.dashboard_bulk import print_bulk_replay
from bench.dashboard_clients import Http, SlowClients, Tabs
from bench.dashboard_search import print_index
from bench.history import add_finished_jobs
from bench.numbers import percentiles
from bench.run import say
from bench.stores import Stores, open_stores
from bench.web import answers
from bridge.dev.embedded.server import pick_port

_WORK = Path(".bench")
_REQUESTS = 40  # of each page: a p95 is the second slowest
_COMMITS = 60
_LIVEZ = 300
_INSERT_SECONDS = 0.5
_SETTLE_SECONDS = 3.0  # a session of Postgres reports its counts once a second
_FIRST_LOAD = ("/api/history?range=1h", "/live.json")  # what the scripts ask for, besides what the page names
# Some that wait, failed and were cancelled, and one of which all pages know the id.
_OTHERS = """
    INSERT INTO coding_jobs (actor, queue, status, prompt, error_message, completed_at, created_at)
    SELECT 'noop', CASE n %% 3 WHEN 0 THEN 'reports' ELSE 'bench' END, s.status, 'prompt ' || n,
           CASE s.status WHEN 'failed' THEN 'boom ' || n END,
           CASE WHEN s.status <> 'pending' THEN now() - n * interval '1 s' END, now() - n * interval '2 s'
    FROM generate_series(1, %s) AS n
    CROSS JOIN LATERAL (SELECT (ARRAY['pending', 'failed', 'cancelled'])[1 + n %% 3] AS status) s"""

_SESSIONS = """
    INSERT INTO coding_sessions (status, initial_prompt, created_at)
    SELECT 'completed', 'prompt ' || n, now() - n * interval '1 s' FROM generate_series(1, 100000) AS n"""
# Of a session of some hours: its page shows the latest thousand.
_EVENTS = """
    WITH session AS (INSERT INTO coding_sessions DEFAULT VALUES RETURNING id), told AS (
        INSERT INTO session_events (session_id, event_type, data)
        SELECT id, 'terminal',
               jsonb_build_object('callId', n / 50, 'offset', n % 50 * 80, 'output', repeat('output ', 11))
        FROM session, generate_series(0, 4999) AS n)
    SELECT id FROM session"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2_000_000, help="finished jobs in the table")
    parser.add_argument("--tabs", type=int, default=50, help="open tabs, 60 at most")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long their cost is measured")
    parser.add_argument("--slow", type=int, default=500, help="slow clients")
    parser.add_argument("--replayed", type=int, default=100_000, help="failed jobs that are replayed at once")
    asked = parser.parse_args()
    _WORK.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=_WORK, prefix="stores-"))
        stores = stack.enter_context(open_stores(Path(folder).resolve()))
        url = stack.enter_context(stores.database(migrated=True))
        say(f"inserting {asked.jobs:,} jobs")
        add_finished_jobs(url, asked.jobs, prompts=True)
        database = stack.enter_context(psycopg.connect(url, autocommit=True))
        database.execute(_OTHERS, [min(30_000, asked.jobs)])
        database.execute(_SESSIONS)
        database.execute("SELECT record_history()")
        print_index(database)
        process, http = stack.enter_context(_web(stores, url))
        _print_pages(http, database)
        _print_first_load(http)
        costs = _Costs(stores, url, process, database, asked.seconds)
        _print_tabs(costs, http, asked.tabs)
        _print_liveness(http, database, asked.tabs)
        _print_slow(http, asked.slow)
        print_bulk_replay(stores, url, database, http, asked.replayed)


@contextmanager
def _web(stores: Stores, url: str) -> Iterator[tuple[psutil.Process, Http]]:
    port = pick_port()
    settings = {"DATABASE_URL": url, "REDIS_URL": stores.redis_url, "HEALTH_CHECK_PORT": str(port), "LOG_LEVEL": "warn"}
    process = subprocess.Popen([sys.executable, "-m", "bridge", "web"], env=os.environ | settings)
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            if time.monotonic() > deadline:
                raise TimeoutError("the web process does not answer")
            time.sleep(0.1)
        yield psutil.Process(process.pid), Http(port)
    finally:
        process.terminate()
        process.wait(20)


def _print_pages(http: Http, database: "psycopg.Connection[tuple[object, ...]]") -> None:
    row = database.execute(
        "SELECT id FROM coding_jobs WHERE status = 'failed' ORDER BY completed_at LIMIT 1"
    ).fetchone()
    session = database.execute(_EVENTS).fetchone()
    assert row is not None
    assert session is not None
    pages = [
        "/", "/?range=24h", "/?range=30d", "/jobs", "/jobs?q=status:completed", "/jobs?q=status:failed",
        "/jobs?q=status:pending+queue:reports", "/jobs?q=no+such+words", "/jobs?q=shop", "/jobs?q=page+77777",
        "/jobs?q=status:failed+blue+shop", f"/jobs/{row[0]}", "/workers",
        "/queues", "/dead", "/bulk", "/settings", "/sessions", f"/sessions/{session[0]}",
        "/api/jobs?q=status:failed+boom", "/stats", "/metrics", "/api/history?range=24h", "/live.json",
    ]  # fmt: skip
    print(f"\n| page, {_REQUESTS} requests | p50 ms | p95 ms |\n|---|---|---|")
    for page in pages:
        http.get(page)  # plans are made and pages are read
        found = percentiles(http.timed(page) * 1000 for _ in range(_REQUESTS))
        shown = page.replace(str(row[0]), "<id>").replace(str(session[0]), "<id>")
        print(f"| `{shown}` | {found.p50:.1f} | {found.p95:.1f} |")


def _print_first_load(http: Http) -> None:
    page = http.get("/", "gzip")
    named = http.assets(http.get("/").decode())
    sizes = {"/": len(page)} | {path: len(http.get(path, "gzip")) for path in (*named, *_FIRST_LOAD)}
    print(f"\nFirst load, compressed: {sum(sizes.values()) / 1000:.1f} kB in {len(sizes)} requests")


@dataclass(frozen=True)
class _Costs:
    stores: Stores
    url: str
    process: psutil.Process
    database: "psycopg.Connection[tuple[object, ...]]"
    seconds: float

    def measure(self) -> tuple[float, float]:
        """Transactions a second without our own, and per cent of a core, while two jobs a second are inserted."""
        time.sleep(_SETTLE_SECONDS)
        began, statements, cpu, inserted = time.monotonic(), self.stores.statements(self.url), self._cpu(), 0
        while time.monotonic() - began < self.seconds:
            self.database.execute("INSERT INTO coding_jobs (queue) VALUES ('bench')")
            inserted += 1
            time.sleep(_INSERT_SECONDS)
        took = time.monotonic() - began
        statements = self.stores.statements(self.url) - statements - inserted
        return statements / took, 100 * (self._cpu() - cpu) / took

    def _cpu(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


def _print_tabs(costs: _Costs, http: Http, tabs: int) -> None:
    before = costs.measure()
    with Tabs(http.port, tabs):
        opened = costs.measure()
    print("\n| two jobs inserted a second | transactions/s | CPU of a core |\n|---|---|---|")
    for name, (statements, cpu) in (("no tab", before), (f"{tabs} tabs", opened)):
        print(f"| {name} | {statements:.1f} | {cpu:.1f} % |")


def _print_liveness(http: Http, database: "psycopg.Connection[tuple[object, ...]]", tabs: int) -> None:
    """From the commit of a job to the message that shows it, in the last of all tabs."""
    took = []
    with Tabs(http.port, tabs) as opened:
        pending = int(json.loads(http.get("/live.json"))["counts"]["pending"])
        for _ in range(_COMMITS):
            time.sleep(random.uniform(0.1, 0.9))  # noqa: S311 -- a time, and no secret
            database.execute("INSERT INTO coding_jobs (queue) VALUES ('bench')")
            committed, pending = time.monotonic(), pending + 1
            took.append(opened.shown(pending) - committed)
    found = percentiles(one * 1000 for one in took)
    print(f"\nCommit → message in each of {tabs} tabs: p50 {found.p50:.0f} ms, p95 {found.p95:.0f} ms")


def _print_slow(http: Http, clients: int) -> None:
    with SlowClients(http.port, clients):
        found = percentiles(http.timed("/livez", keep=False) * 1000 for _ in range(_LIVEZ))
    print(f"\n/livez with {clients} slow clients: p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms")


if __name__ == "__main__":
    main()

"""How long the replay of many jobs takes, whether any is doubled, and how fast pages are meanwhile."""

import os
import subprocess
import sys
import time

import psycopg

from bench.dashboard_clients import Http
from bench.numbers import percentiles
from bench.stores import Stores
from bridge.postgres import bulk
from bridge.postgres.job_filter import parse_filter
from bridge.postgres.link import Link

_QUEUE = "replayed"
_PATIENCE_SECONDS = 600.0
_VIEWER_SECONDS = 0.1  # from one page to the next: ten busy viewers
_PAGES = ("/", "/jobs", "/jobs?q=status:failed", "/queues", "/bulk")
_FAILED = """
    INSERT INTO coding_jobs (actor, queue, status, error_message, completed_at)
    SELECT 'noop', %s, 'failed', 'boom', now() - n * interval '1 ms' FROM generate_series(1, %s) AS n"""
_COPIES = "SELECT count(*), count(DISTINCT job_id) FROM job_audit WHERE action = 'replay' AND bulk_operation = %s"


def print_bulk_replay(
    stores: Stores, url: str, database: "psycopg.Connection[tuple[object, ...]]", http: Http, count: int
) -> None:
    database.execute(_FAILED, [_QUEUE, count])
    link = Link(url, "bench")
    settings = {"DATABASE_URL": url, "REDIS_URL": stores.redis_url, "LOG_LEVEL": "warn"}
    bridge = subprocess.Popen([sys.executable, "-m", "bridge", "run"], env=os.environ | settings)
    try:
        operation = bulk.plan(link.call, bulk.Action.REPLAY, parse_filter(f"queue:{_QUEUE}"), by="bench")
        began = time.monotonic()
        bulk.start(link.call, operation, by="bench", reason=None, rate=None)
        times: dict[str, list[float]] = {page: [] for page in _PAGES}
        while (bulk.show(link.call, operation) or {})["state"] != "done":
            if time.monotonic() - began > _PATIENCE_SECONDS:
                raise TimeoutError("the replay does not end")
            for page, taken in times.items():
                time.sleep(_VIEWER_SECONDS)
                taken.append(http.timed(page) * 1000)
        took = time.monotonic() - began
    finally:
        bridge.terminate()
        bridge.wait(20)
        link.close()
    copies, replayed = database.execute(_COPIES, [operation]).fetchone() or (0, 0)
    print(f"\nReplay of {count:,} jobs: {took:.1f} s, {copies:,} copies of {replayed:,} jobs")
    print("\n| page meanwhile | p50 ms | p95 ms |\n|---|---|---|")
    for page, taken in times.items():
        found = percentiles(taken)
        print(f"| `{page}` | {found.p50:.1f} | {found.p95:.1f} |")

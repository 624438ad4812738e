"""`python -m bench.adoption`: `mobvibe migrate up` on a MobVibe database with many rows, while clients write.

Prints how long it took, the longest time that each kind of lock on a table was held, and the longest wait of a client.
"""

import argparse
import random
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psycopg

from bench.stores import open_stores
from bridge.postgres.migrations import migrate_up
from tests.support import legacy

_STRONG = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")  # writers wait for these
_CLIENTS = 4
_REST_SECONDS = 0.02

_FILL = """
    INSERT INTO coding_jobs (session_id, prompt, status, priority, retry_count, created_at, started_at, completed_at)
    SELECT %(session)s, 'build me an app', CASE WHEN n %% 50 = 0 THEN 'pending' ELSE 'completed' END,
           CASE WHEN n %% 40 = 0 THEN NULL ELSE 0 END, 0, now() - n * interval '1 s',
           CASE WHEN n %% 50 <> 0 THEN now() - n * interval '1 s' END, CASE WHEN n %% 50 <> 0 THEN now() END
    FROM generate_series(1, %(rows)s) n"""


class Sampler(threading.Thread):
    """Polls the locks of the migration as often as it can, and adds up the time of each."""

    def __init__(self, dsn: str) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self.over = threading.Event()
        self.longest: defaultdict[tuple[str, str], float] = defaultdict(float)

    def run(self) -> None:
        since: dict[tuple[str, str], float] = {}
        with psycopg.connect(self._dsn, autocommit=True, application_name="bench") as connection:
            while not self.over.wait(0.005):
                now = time.monotonic()
                held = {
                    (str(table), str(mode))
                    for table, mode in connection.execute(
                        "SELECT l.relation::regclass::text, l.mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                        " WHERE a.application_name = 'mobvibe migrate' AND l.granted AND l.mode = ANY (%s)"
                        " AND l.relation IN ('coding_jobs'::regclass, 'session_events'::regclass)",
                        [list(_STRONG)],
                    )
                }
                since = {lock: since.get(lock, now) for lock in held}
                for lock, began in since.items():
                    self.longest[lock] = max(self.longest[lock], now - began)


class Client(threading.Thread):
    """A phone and a Node worker in one: inserts, takes and completes a job. Keeps the time of its longest statement."""

    def __init__(self, dsn: str, session: UUID) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._session = session
        self.over = threading.Event()
        self.longest = 0.0
        self.statements = self.failed = 0

    def run(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True, application_name="bench client") as connection:
            while not self.over.wait(_REST_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311
                job = self._time(lambda: connection.execute(
                    "INSERT INTO coding_jobs (session_id, prompt) VALUES (%s, 'x') RETURNING id", [self._session]
                ))  # fmt: skip
                self._time(lambda j=job: connection.execute(  # type: ignore[misc]
                    "UPDATE coding_jobs SET status = 'completed', completed_at = now() WHERE id = %s", [j]
                ))  # fmt: skip

    def _time(self, call: Callable[[], "psycopg.Cursor"]) -> object:
        began = time.monotonic()
        try:
            cursor = call()
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
        except psycopg.Error:
            self.failed += 1
            return None
        finally:
            self.statements += 1
            self.longest = max(self.longest, time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    work = Path(".bench")
    work.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=work, prefix="stores-") as folder,
        open_stores(Path(folder).resolve()) as stores,
        stores.database(migrated=False) as dsn,
    ):
        _report(rows, dsn)


def _report(rows: int, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((legacy.SCHEMA + legacy.session_events("data", checked=True)).encode())
        project = connection.execute(
            "INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id"
        ).fetchone()
        session = connection.execute(
            "INSERT INTO coding_sessions (user_id, project_id, initial_prompt, expires_at)"
            " VALUES (gen_random_uuid(), %s, 'x', now() + interval '1 day') RETURNING id",
            project,
        ).fetchone()
        assert session is not None
        connection.execute(_FILL, {"session": session[0], "rows": rows})
        connection.execute("VACUUM ANALYZE coding_jobs")
        before = connection.execute("SELECT count(*) FROM coding_jobs").fetchone()
    sampler = Sampler(dsn)
    clients = [Client(dsn, session[0]) for _ in range(_CLIENTS)]
    for thread in (sampler, *clients):
        thread.start()
    began = time.monotonic()
    migrate_up(dsn)
    took = time.monotonic() - began
    helpers: list[Sampler | Client] = [sampler, *clients]
    for helper in helpers:
        helper.over.set()
        helper.join(30)
    print(f"{before[0] if before else 0:,} rows adopted in {took:.1f} s beside {_CLIENTS} clients")
    for (table, mode), seconds in sorted(sampler.longest.items()):
        print(f"  {table:<16} {mode:<24} held for {seconds * 1000:6.0f} ms at the longest")
    statements, failed = sum(one.statements for one in clients), sum(one.failed for one in clients)
    longest = max(one.longest for one in clients)
    print(f"  clients: {statements:,} statements, {failed} failed, the longest took {longest * 1000:.0f} ms")


if __name__ == "__main__":
    main()

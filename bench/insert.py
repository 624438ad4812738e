"""Insert: what our triggers cost a client, compared with a table of the same columns, checks and indexes without them.

One client that commits each row, sixteen such clients, and one client whose statements insert a thousand rows. The
tables are measured in turns, each as often first. A bridge and free workers run beside both: the bridge waits for
notifications, or is busy with other jobs. Where it hears of many new jobs, it notifies for the inserts. No worker knows
the rows' actor, because running their jobs would slow down one of the two tables.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Barrier, Event
from typing import NamedTuple

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from bench.contestants import bridge
from bench.fleet import Fleet, open_fleet
from bench.run import Run
from bench.stores import PATIENCE

_ROW = SQL("INSERT INTO {} (actor, queue, payload) VALUES ('unknown', 'unknown', '{{\"key\": 1}}')")
_THOUSAND = SQL(
    "INSERT INTO {} (actor, queue, payload)"
    " SELECT 'unknown', 'unknown', jsonb_build_object('key', n) FROM generate_series(1, 1000) AS n"
)
OURS, BARE = "coding_jobs", "bare"
_BUSY = SQL("INSERT INTO coding_jobs (actor, queue) SELECT 'noop', 'bench' FROM generate_series(1, 4)")
_BUSY_SECONDS = 0.02  # between two of these statements


class Way(NamedTuple):
    statement: SQL
    rows: int  # in a statement
    clients: int
    is_busy: bool = False


WAYS = {
    "one_client": Way(_ROW, 1, 1),
    "sixteen_clients": Way(_ROW, 1, 16),
    "one_client_busy_bridge": Way(_ROW, 1, 1, is_busy=True),
    "sixteen_clients_busy_bridge": Way(_ROW, 1, 16, is_busy=True),
    "thousand_rows": Way(_THOUSAND, 1000, 1),
}


@dataclass(frozen=True)
class Insert:
    """Rows a second, by round."""

    triggers: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def measure(run: Run) -> dict[str, Insert]:
    found = {way: Insert() for way in WAYS}
    with open_fleet(bridge("insert"), run.stores, run.work) as fleet:
        _make_bare_table(fleet.database_url)
        fleet.start()
        fleet.client("fill", "1")
        fleet.wait("the first job", lambda: fleet.done() > 0, 60)
        for number in range(run.plan.insert_rounds):
            for name, way in WAYS.items():
                with _other_jobs(fleet, is_busy=way.is_busy):
                    for table in (OURS, BARE) if number % 2 == 0 else (BARE, OURS):
                        rate = _rows_per_second(fleet.database_url, way, table, run.plan.insert_seconds)
                        (found[name].triggers if table == OURS else found[name].bare).append(rate)
    return found


@contextmanager
def _other_jobs(fleet: Fleet, *, is_busy: bool) -> Iterator[None]:
    """If it is to be busy, the bridge has 200 jobs a second to hand over meanwhile."""
    over = Event()

    def insert() -> None:
        with psycopg.connect(fleet.database_url, autocommit=True, options=PATIENCE) as connection:
            while not over.wait(_BUSY_SECONDS):
                connection.execute(_BUSY)

    with ThreadPoolExecutor(1) as pool:
        inserting = pool.submit(insert) if is_busy else None
        try:
            yield
        finally:
            over.set()
    if inserting is not None:
        inserting.result()


def _make_bare_table(url: str) -> None:
    with psycopg.connect(url, autocommit=True, options=PATIENCE) as connection:
        connection.execute("CREATE TABLE bare (LIKE coding_jobs INCLUDING ALL)")
        row = connection.execute("SELECT reloptions FROM pg_class WHERE oid = 'coding_jobs'::regclass").fetchone()
        for option in (row and row[0]) or ():
            name, _, value = option.partition("=")
            connection.execute(SQL("ALTER TABLE bare SET ({} = {})").format(Identifier(name), value))


def _rows_per_second(url: str, way: Way, table: str, seconds: float) -> float:
    return way.rows * _statements_per_second(url, way.statement.format(Identifier(table)), way.clients, seconds)


def _statements_per_second(url: str, statement: Composed, clients: int, seconds: float) -> float:
    ready = Barrier(clients)

    def client() -> tuple[int, float, float]:
        with psycopg.connect(url, autocommit=True, options=PATIENCE) as connection:
            for _ in range(6):  # the driver prepares what it has seen five times
                connection.execute(statement)
            ready.wait(30)
            began = time.perf_counter()
            count = 0
            while time.perf_counter() < began + seconds:
                connection.execute(statement)
                count += 1
            return count, began, time.perf_counter()

    with ThreadPoolExecutor(clients) as pool:
        done = [future.result() for future in [pool.submit(client) for _ in range(clients)]]
    return sum(count for count, _, _ in done) / (max(end for _, _, end in done) - min(began for _, began, _ in done))

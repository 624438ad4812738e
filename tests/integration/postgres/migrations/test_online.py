"""Long steps run while clients write, may be stopped at any point, and lead to the same table."""

import threading
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
import pytest

from bridge.postgres.migrations import (
    batches,
    indexes,
    migrate_up,
    migrations,
    online,
)
from bridge.postgres.startup_checks import check_database
from tests.support.legacy import fill, session_of
from tests.support.rows import Rows
from tests.support.waiting import eventually

DEFINITIONS = """
    SELECT 'rule ' || c.conname AS name, pg_get_constraintdef(c.oid) AS is, c.convalidated::text AS state
    FROM pg_constraint c WHERE c.conrelid = 'coding_jobs'::regclass AND c.contype = 'c'
    UNION ALL
    SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisvalid::text
    FROM pg_index i WHERE i.indrelid IN ('coding_jobs'::regclass, 'session_events'::regclass)
    UNION ALL
    SELECT 'column ' || a.attname,
           format_type(a.atttypid, a.atttypmod) || coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attnotnull::text
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = 'coding_jobs'::regclass AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'trigger ' || t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text
    FROM pg_trigger t WHERE t.tgrelid = 'coding_jobs'::regclass AND NOT t.tgisinternal"""


def definitions(rows: Rows) -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for row in rows.all(DEFINITIONS)}


@pytest.mark.parametrize("files_alone", [True, False])
def test_every_way_of_adoption_leads_to_the_same_table_as_a_new_one(
    empty_dsn: str, old: Rows, dsn: str, files_alone: bool
) -> None:
    fill(old, 20)
    fill(old, 20, "pending")
    if files_alone:
        for migration in migrations():
            old.all(migration.text)
    else:
        migrate_up(empty_dsn)

    with psycopg.connect(dsn, autocommit=True) as connection:
        new = definitions(Rows(connection))
    theirs = {"coding_jobs_session_id_idx", "trigger touch_jobs"}
    assert {one for one in definitions(old) if one[0] not in theirs} == new
    numbers = old.all("SELECT seq FROM coding_jobs WHERE status = 'pending' ORDER BY created_at")
    assert [row["seq"] for row in numbers] == list(range(1, 21))
    assert old.value("SELECT sum(completed) + sum(pending) FROM queue_counts()") == 40


def test_jobs_inserted_meanwhile_come_after_those_that_waited(
    empty_dsn: str, old: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(old, 30, "pending")
    old.all("CREATE PUBLICATION live FOR TABLE coding_jobs")
    session = session_of(old)
    monkeypatch.setattr(batches, "_PACED_BATCH", 7)
    between: list[UUID] = []
    monkeypatch.setattr(
        "bridge.postgres.migrations.batches.time.sleep",
        lambda _: between.append(old.add_job(session_id=session, prompt="new", created_at="2020-01-01")),
    )

    migrate_up(empty_dsn)

    numbers = {row["id"]: row["seq"] for row in old.all("SELECT id, seq FROM coding_jobs")}
    assert len(set(numbers.values())) == len(numbers)
    assert len(between) >= 4
    assert sorted(numbers, key=numbers.__getitem__)[30:] == between


def test_writers_continue_and_their_jobs_are_counted(empty_dsn: str, old: Rows) -> None:
    fill(old, 2000)
    session = session_of(old)
    over, added = threading.Event(), 0

    def write() -> None:
        nonlocal added
        with psycopg.connect(empty_dsn, autocommit=True) as connection:
            rows = Rows(connection)
            while not over.is_set():
                with suppress(psycopg.errors.DeadlockDetected):
                    rows.all("INSERT INTO coding_jobs (session_id, prompt) VALUES (%s, 'p')", [session])
                    added += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: added > 5)
        migrate_up(empty_dsn)
    finally:
        over.set()
        writer.join(20)

    counted = old.all("SELECT sum(pending) AS pending, sum(completed) AS completed FROM queue_counts()")[0]
    assert (counted["pending"], counted["completed"]) == (added, 2000)
    check_database(empty_dsn)


@pytest.mark.parametrize("at", range(0, 40, 3))
def test_adoption_may_be_stopped_at_any_point_and_repeated(
    empty_dsn: str, old: Rows, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    fill(old, 10, "pending")
    old.add_job(session_id=session_of(old), prompt="p", priority=None)
    modules, real, calls = (batches, indexes, online), batches.run, 0

    def run(*args: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KeyboardInterrupt
        return real(*args)

    for module in modules:
        monkeypatch.setattr(module, "run", run)
    with suppress(KeyboardInterrupt):
        migrate_up(empty_dsn)
    for module in modules:
        monkeypatch.setattr(module, "run", real)

    migrate_up(empty_dsn)

    check_database(empty_dsn)
    assert old.value("SELECT count(DISTINCT seq) FROM coding_jobs WHERE seq > 0") == 11
    assert old.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0

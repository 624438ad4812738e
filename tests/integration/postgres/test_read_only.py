"""A database that is read-only for a while, as when a provider's disk is full: it is named, and waited for."""

import logging
from datetime import timedelta
from functools import partial

import psycopg
import pytest

from bridge.cli.doctor import examine
from bridge.errors import ReadOnlyError
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.postgres.migrations import MigrationError, migrate_up
from bridge.postgres.read_only import read_only
from bridge.postgres.startup_checks import check_database
from bridge.runtime.loop import Loop
from bridge.settings import Settings
from tests.support.rows import Rows

WHY = "default_transaction_read_only is on, set for the database"


def set_read_only(rows: Rows, dsn: str, value: str) -> None:
    rows.all(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET default_transaction_read_only = {value}")


def pruned(queue: JobQueue) -> float:
    queue.prune_workers(timedelta(days=7))
    return 0.0


def test_a_process_waits_at_its_start_until_writes_are_possible(
    dsn: str, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    set_read_only(rows, dsn, "on")

    check_database(dsn, rest=lambda _: set_read_only(rows, dsn, "off"))

    (message,) = caplog.messages
    assert f"is read-only ({WHY}: " in message
    assert ", retry 1/10 in " in message


def test_a_process_that_ends_says_why_in_one_line(dsn: str, rows: Rows) -> None:
    set_read_only(rows, dsn, "on")

    with pytest.raises(ReadOnlyError, match=rf"is read-only: {WHY}: .*RESET it there \(tried 2 times\)") as raised:
        check_database(dsn, tries=2, rest=lambda _: None)

    assert raised.value.exit_code == 3


def test_the_doctor_names_the_read_only_database_as_the_cause(settings: Settings, dsn: str, rows: Rows) -> None:
    set_read_only(rows, dsn, "on")

    failed = [(one.check, one.found) for one in examine(settings) if one.state == "fail"]

    assert failed == [("postgres", f"read-only: {WHY}")]


def test_a_migration_is_refused(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        set_read_only(Rows(connection), empty_dsn, "on")

    with pytest.raises(
        MigrationError, match=rf"^Nothing was changed. In the way: the database is read-only: {WHY} \(→"
    ):
        migrate_up(empty_dsn)


def test_a_standby_is_distinguished_from_a_setting() -> None:
    found = read_only([{"is_standby": True, "source": "default"}])
    assert found is not None
    assert found.why == "the server is a standby"


def test_a_running_process_logs_it_once_and_continues_by_itself(
    dsn: str, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    set_read_only(rows, dsn, "on")
    links = [Link(dsn, name) for name in ("one", "other")]
    loops = [Loop("test", partial(pruned, JobQueue(link))) for link in links]
    for _ in range(3):
        for loop in loops:
            loop.run_once()

    set_read_only(rows, dsn, "off")
    for loop in loops:
        loop.run_once()

    assert caplog.messages == ["Postgres is read-only, trying again until it is over", "Postgres takes writes again"]
    for link in links:
        link.close()

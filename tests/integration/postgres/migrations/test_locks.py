"""A step that needs a lock names the process that holds it, and is tried again."""

import psycopg
import pytest

from bridge.postgres.migrations import (
    MigrationError,
    migrate_up,
)
from bridge.postgres.migrations.locks import with_lock_retries
from bridge.postgres.startup_checks import check_database
from tests.support.legacy import fill
from tests.support.rows import Rows


def test_the_holder_of_a_lock_is_named_and_waited_for(
    empty_dsn: str, old: Rows, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(old, 5)
    rests: list[float] = []
    with psycopg.connect(empty_dsn, application_name="their report") as other:
        other.execute("SELECT count(*) FROM coding_jobs")  # and goes for lunch

        def rest(seconds: float) -> None:
            rests.append(seconds)
            if len(rests) == 2:
                other.rollback()

        monkeypatch.setattr("bridge.postgres.migrations.locks.time.sleep", rest)
        migrate_up(empty_dsn)

    assert rests == [0.5, 1.0]
    assert "their report, role mobvibe, idle in transaction, for" in caplog.text
    check_database(empty_dsn)


def test_a_holder_that_never_ends_is_named_in_one_line_and_no_rights_are_left_open(
    empty_dsn: str, old: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.postgres.migrations.locks.time.sleep", lambda _: None)
    assert with_lock_retries.__kwdefaults__ is not None
    monkeypatch.setitem(with_lock_retries.__kwdefaults__, "tries", 2)
    with psycopg.connect(empty_dsn, application_name="their report") as other:
        other.execute("LOCK TABLE coding_jobs IN SHARE MODE")

        with pytest.raises(
            MigrationError, match=r"could not be done: a lock that is held by process \d+ \(their report"
        ):
            migrate_up(empty_dsn)

    assert migrate_up(empty_dsn)

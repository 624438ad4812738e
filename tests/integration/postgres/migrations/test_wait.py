"""`mobvibe migrate wait` returns when the schema is there, and not before."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from bridge.errors import PostgresUnavailableError
from bridge.postgres.migrations import migrate_up, wait_for_schema
from bridge.postgres.startup_checks import SCHEMA_VERSION
from tests.support.commands import PLAIN, mobvibe


def test_it_returns_once_another_process_has_migrated(tmp_path: Path, empty_dsn: str) -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-m", "bridge", "migrate", "wait", "--timeout", "60"],
        cwd=tmp_path,
        env=PLAIN | {"DATABASE_URL": empty_dsn},
        stderr=subprocess.PIPE,
        text=True,
    )
    with waiting as process:
        assert process.stderr is not None
        assert "Waiting: " in (told := process.stderr.readline())
        assert "migrations are missing: run mobvibe migrate up" in told
        assert process.poll() is None

        migrate_up(empty_dsn)

        assert process.wait(20) == 0
        assert process.stderr.read() == "", "it tells each thing once"


@pytest.mark.parametrize("version", [SCHEMA_VERSION, SCHEMA_VERSION + 1])
def test_it_returns_at_once_for_this_version_and_a_later_one(dsn: str, version: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION public.mobvibe_schema_version() RETURNS int LANGUAGE sql IMMUTABLE "
            f"AS 'SELECT {version}'"
        )
    told: list[str] = []

    wait_for_schema(dsn, 0, told.append)

    assert told == []


def test_it_gives_up_in_one_line_with_the_code_of_a_missing_schema(tmp_path: Path, empty_dsn: str) -> None:
    result = mobvibe("migrate", "wait", "--timeout", "0", cwd=tmp_path, DATABASE_URL=empty_dsn)

    assert result.code == 4
    assert "migrations are missing: run mobvibe migrate up" in result.one_line()


def test_a_postgres_that_is_not_there_yet_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    told: list[str] = []
    began = time.monotonic()

    with pytest.raises(PostgresUnavailableError):
        wait_for_schema(f"postgresql://u@127.0.0.1:{port}/d", 2, told.append)

    assert time.monotonic() - began >= 2
    assert len(told) >= 1

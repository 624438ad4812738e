"""`mobvibe migrate`: migrations are applied and listed, or printed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from bridge.postgres.migrations.files import migrations
from tests.integration.postgres.conftest import as_role
from tests.support.commands import mobvibe
from tests.support.rows import Rows

MIGRATIONS = len(migrations())


def test_migrations_are_applied_and_listed(tmp_path: Path, empty_dsn: str) -> None:
    environment = {"DATABASE_URL": empty_dsn}
    missing = mobvibe("migrate", "status", cwd=tmp_path, **environment)
    assert (missing.code, missing.out.count("missing")) == (4, MIGRATIONS)

    up = mobvibe("migrate", "up", cwd=tmp_path, **environment)
    assert (up.code, len(up.out.splitlines()), up.err) == (0, MIGRATIONS, f"{MIGRATIONS} applied\n")

    again = mobvibe("migrate", "up", cwd=tmp_path, **environment)
    assert (again.out, again.err) == ("", "Nothing to apply\n")
    states = json.loads(mobvibe("migrate", "status", "--json", cwd=tmp_path, **environment).out)
    assert all(state["applied"] for state in states)


def test_migrations_can_be_printed_without_a_database(tmp_path: Path) -> None:
    first, second = (mobvibe("migrate", "sql", cwd=tmp_path) for _ in range(2))

    assert first.code == 0
    assert first.out == second.out
    assert first.out.startswith("-- rights")
    assert "CREATE OR REPLACE FUNCTION public.claim_next_job()" in first.out


def test_a_database_is_given_back_and_taken_again(tmp_path: Path, dsn: str, rows: Rows) -> None:
    environment = {"DATABASE_URL": dsn}
    rows.add_job(actor="build_report")
    refused = mobvibe("migrate", "down", cwd=tmp_path, **environment)
    assert (refused.code, refused.out) == (4, "")
    assert "1 waiting jobs of other actors (build_report)" in refused.one_line()

    down = mobvibe("migrate", "down", "--force", cwd=tmp_path, **environment)
    assert (down.code, down.out.split()) == (0, ["0002_jobs", "0003_sessions", "0004_functions"])
    assert "1 waiting jobs that the Node worker cannot run have failed; their error says why" in down.err
    assert down.err.endswith("The database is the Node worker's\n")

    again = mobvibe("migrate", "down", cwd=tmp_path, **environment)
    assert (again.code, again.out, again.err) == (0, "", "Nothing to restore\n")
    assert mobvibe("migrate", "status", cwd=tmp_path, **environment).code == 4
    up = mobvibe("migrate", "up", cwd=tmp_path, **environment)
    assert (up.code, len(up.out.splitlines())) == (0, MIGRATIONS)


def test_the_owner_migrates_and_the_role_of_the_processes_gets_its_rights(
    tmp_path: Path, empty_dsn: str, role: str
) -> None:
    environment = {"DATABASE_URL": as_role(empty_dsn, role), "OWNERS_DATABASE_URL": empty_dsn}
    first = mobvibe("migrate", "up", cwd=tmp_path, **environment)
    assert (first.code, len(first.out.splitlines())) == (0, MIGRATIONS)
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
        for command, code in ((["up"], "42501"), (["up", "--grant-to", role], None)):
            assert mobvibe("migrate", *command, cwd=tmp_path, **environment).code == 0
            assert refused(connection, "SELECT count(*) FROM public.coding_jobs") == code
            assert refused(connection, "SELECT public.get_queue_stats()") == code

    assert mobvibe("migrate", "down", cwd=tmp_path, **environment).code == 0


def test_a_role_that_is_not_there_is_named_before_anything_is_changed(tmp_path: Path, empty_dsn: str) -> None:
    result = mobvibe("migrate", "up", "--grant-to", "Nobody's", cwd=tmp_path, DATABASE_URL=empty_dsn)

    assert result.code == 4
    assert 'Nothing was changed. There is no role "Nobody\'s" to grant to' in result.one_line()
    assert mobvibe("migrate", "status", cwd=tmp_path, DATABASE_URL=empty_dsn).out.count("missing") == MIGRATIONS


@pytest.mark.parametrize("name", ["user", "current_user"])
def test_a_role_may_have_the_name_of_a_word_of_sql(tmp_path: Path, empty_dsn: str, name: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{name}"')
        try:
            up = mobvibe("migrate", "up", "--grant-to", name, cwd=tmp_path, DATABASE_URL=empty_dsn)
            assert up.code == 0, up.err
            granted = connection.execute("SELECT has_table_privilege(%s::name, 'public.coding_jobs', 'UPDATE')", [name])
            assert granted.fetchone() == (True,)
        finally:
            connection.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def test_rights_that_may_not_be_passed_on_are_not_taken_for_given(tmp_path: Path, empty_dsn: str, role: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        assert mobvibe("migrate", "up", "--grant-to", role, cwd=tmp_path, DATABASE_URL=empty_dsn).code == 0
        connection.execute('CREATE ROLE "Second"')
        try:
            result = mobvibe(
                "migrate", "up", "--grant-to", "Second", cwd=tmp_path, DATABASE_URL=as_role(empty_dsn, role)
            )
            assert (result.code, result.out) == (4, "")
            assert "rights could not be given to 'Second'" in result.one_line()
            assert "OWNERS_DATABASE_URL" in result.one_line()
        finally:
            connection.execute('DROP OWNED BY "Second"; DROP ROLE "Second"')


def test_no_rights_are_printed_for_everybody(tmp_path: Path) -> None:
    result = mobvibe("migrate", "grants", "public", cwd=tmp_path)

    assert (result.code, result.out) == (4, "")
    assert "public is no role: Postgres takes it as everybody" in result.one_line()


@pytest.fixture
def role(empty_dsn: str) -> Iterator[str]:
    """A login whose name needs quotes, in a database whose own search path leads elsewhere."""
    name = f"Bridge-{uuid4().hex[:8]}"
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'secret'")
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET search_path = elsewhere")
        yield name
        connection.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def refused(connection: "psycopg.Connection[Any]", statement: str) -> str | None:
    """The SQLSTATE of the error of a statement."""
    try:
        connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate
    return None

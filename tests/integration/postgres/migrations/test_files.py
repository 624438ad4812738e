"""The migrations in `sql/`: applied in order and once, repeated by an upgrade, and also applied by psql."""

import re
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import psycopg
import pytest

from bridge.dev.embedded.postgres import find_programs
from bridge.postgres.migrations import files, migrate_up, migration_states, migrations
from bridge.postgres.migrations.files import indexes, private_functions, sections
from bridge.postgres.startup_checks import SCHEMA_VERSION, check_database
from tests.support.commands import mobvibe
from tests.support.rows import Rows

CATALOGUE = """
    SELECT p.oid::regprocedure::text AS name, pg_get_functiondef(p.oid) AS is, p.proacl::text AS rights,
           obj_description(p.oid, 'pg_proc') AS said
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.proname <> 'mobvibe_database_id'
    UNION ALL
    SELECT format('column %s.%s', a.attrelid::regclass, a.attname),
           format('%s %s %s', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)),
           c.relacl::text, col_description(c.oid, a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    UNION ALL
    SELECT format('rule %s.%s', c.conrelid::regclass, c.conname), pg_get_constraintdef(c.oid), c.convalidated::text,
           obj_description(c.oid, 'pg_constraint')
    FROM pg_constraint c WHERE c.connamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('trigger %s.%s', t.tgrelid::regclass, t.tgname), pg_get_triggerdef(t.oid), t.tgenabled::text, NULL
    FROM pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT c.relname, pg_get_indexdef(c.oid), c.reloptions::text, NULL
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i', 'S')
    ORDER BY 1"""


def test_every_migration_is_applied_in_order_and_once(empty_dsn: str) -> None:
    names = [migration.name for migration in migrations()]
    assert not any(state.applied for state in migration_states(empty_dsn))

    assert migrate_up(empty_dsn) == names
    assert migrate_up(empty_dsn) == []

    assert [(state.name, state.applied) for state in migration_states(empty_dsn)] == [(name, True) for name in names]
    check_database(empty_dsn)


def test_the_last_migration_sets_the_version() -> None:
    assert f"AS $$ SELECT {SCHEMA_VERSION} $$" in migrations()[-1].text


def test_each_migration_applies_with_psql_and_may_be_repeated(empty_dsn: str) -> None:
    for _ in range(2):
        for migration in migrations():
            command = [str(find_programs() / "psql"), empty_dsn, "-v", "ON_ERROR_STOP=1", "-q", "-1"]
            result = subprocess.run(command, input=migration.text, capture_output=True, text=True, check=False)
            assert (result.returncode, result.stdout) == (0, ""), result.stderr

    check_database(empty_dsn)
    assert all(state.applied for state in migration_states(empty_dsn))
    assert migrate_up(empty_dsn) == []


def test_the_text_of_each_step_taken_beforehand_is_in_the_files() -> None:
    assert set(sections()) == {"columns", "optional", "quiet", "repair", "rules", "order", "cancelled", "unfit"}
    assert len(indexes()) == 14
    assert {"claim_jobs", "guard_job", "mobvibe_close_rights"} <= set(private_functions())


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A following version that has no new step for a table."""
    monkeypatch.setattr(files, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    migrations.cache_clear()
    yield
    migrations.cache_clear()


def test_an_upgrade_recreates_functions_and_repeats_no_table_step(dsn: str, rows: Rows, next_release: None) -> None:
    rows.all("DROP FUNCTION complete_jobs; ALTER TABLE coding_jobs ADD COLUMN theirs integer")
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE job_audit, workers IN ACCESS SHARE MODE")  # a step would ask for more

        applied = migrate_up(dsn)

    assert applied == [name for name in (one.name for one in migrations()) if not name.startswith("00")]
    assert rows.value("SELECT to_regprocedure('complete_jobs(uuid[],bigint[],uuid[],jsonb[])')")


def test_an_older_schema_is_given_every_step(next_release: None) -> None:
    assert files.pending(0) == files.pending(SCHEMA_VERSION - 1) == list(migrations())
    assert files.pending(SCHEMA_VERSION + 1) == []


def test_each_listed_function_has_planner_settings(rows: Rows) -> None:
    text = resources.files("bridge").joinpath("sql", "planner_settings.sql").read_text("utf-8")
    named = set(re.findall(r"'(\w+)'", text)) - set(re.findall(r"'(enable_\w+)'", text)) - {"public"}

    held = rows.all("SELECT proname FROM pg_proc WHERE 'plan_cache_mode=force_generic_plan' = ANY (proconfig)")
    assert {row["proname"] for row in held} == named


def test_the_printed_sql_creates_the_same_as_migrate_up(empty_dsn: str, rows: Rows, tmp_path: Path) -> None:
    printed = mobvibe("migrate", "sql", cwd=tmp_path).out
    command = [str(find_programs() / "psql"), empty_dsn, "-v", "ON_ERROR_STOP=1", "-q"]
    result = subprocess.run(command, input=printed, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (0, "")
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        assert Rows(connection).all(CATALOGUE) == rows.all(CATALOGUE)

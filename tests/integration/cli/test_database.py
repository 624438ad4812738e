"""`mobvibe migrate`: migrations are applied and listed, or printed."""

import json
from pathlib import Path

from bridge.postgres.migrations.files import migrations
from tests.support.commands import mobvibe

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

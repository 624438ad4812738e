"""The files of the schema: applied in order, once, also by psql."""

import subprocess

from bridge.dev.embedded.postgres import find_programs
from bridge.postgres.migrations import (
    migrate_up,
    migration_files,
    migration_states,
)
from bridge.postgres.migrations.files import indexes, private_functions, sections
from bridge.postgres.startup_checks import SCHEMA_VERSION, check_database


def test_every_file_is_applied_in_order_and_once(empty_dsn: str) -> None:
    names = [file.stem for file in migration_files()]
    assert not any(state.applied for state in migration_states(empty_dsn))

    assert migrate_up(empty_dsn) == names
    assert migrate_up(empty_dsn) == []

    assert [(state.name, state.applied) for state in migration_states(empty_dsn)] == [(name, True) for name in names]
    check_database(empty_dsn)


def test_the_last_file_says_the_version() -> None:
    assert f"AS $$ SELECT {SCHEMA_VERSION} $$" in migration_files()[-1].read_text()


def test_the_files_apply_with_psql_and_may_be_applied_again(empty_dsn: str) -> None:
    for _ in range(2):
        for file in migration_files():
            command = [str(find_programs() / "psql"), empty_dsn, "-v", "ON_ERROR_STOP=1", "-q", "-1", "-f", str(file)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stderr

    check_database(empty_dsn)
    assert all(state.applied for state in migration_states(empty_dsn))
    assert migrate_up(empty_dsn) == []


def test_each_step_that_is_taken_beforehand_is_found_in_the_files() -> None:
    assert set(sections()) == {"columns", "optional", "quiet", "repair", "rules", "order"}
    assert len(indexes()) == 10
    assert {"claim_jobs", "guard_job", "mobvibe_close_rights"} <= set(private_functions())

"""`mobvibe sessions download`: the files of a session in an archive."""

from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from bridge.cli.session_download import download
from tests.support.commands import Run
from tests.support.rows import Rows
from tests.support.saved_sessions import files_in, saved_session
from tests.support.steps import Steps

FILES = {"a": b"1", "b/c": b"2" * 1000}


def test_the_files_are_written_for_this_account_only(run: Run, steps: Steps, rows: Rows, tmp_path: Path) -> None:
    session_id = saved_session(steps, rows, tmp_path, FILES)

    done = run("sessions", "download", str(session_id))

    file = tmp_path / f"session-{str(session_id)[:8]}.tar.gz"
    assert done.out == f"{file.name}: {file.stat().st_size:,} bytes\n"
    assert files_in(file.read_bytes()) == FILES
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.part"))


def test_the_standard_output_takes_them_too(
    dsn: str, redis_url: str, steps: Steps, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = saved_session(steps, rows, tmp_path, FILES)
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("REDIS_URL", redis_url)

    assert files_in(CliRunner().invoke(download, [str(session_id), "--output", "-"]).stdout_bytes) == FILES


def test_a_file_that_cannot_be_written_is_named(run: Run, steps: Steps, rows: Rows, tmp_path: Path) -> None:
    session_id = saved_session(steps, rows, tmp_path, FILES)

    refused = run("sessions", "download", str(session_id), "--output", "missing/x.tar.gz")

    assert refused.one_line() == "mobvibe: missing/x.tar.gz cannot be written: No such file or directory"


def test_a_session_without_snapshots_is_an_error(run: Run) -> None:
    session_id = uuid4()

    assert run("sessions", "download", str(session_id)).one_line() == (
        f"mobvibe: no files of session {session_id} are saved yet"
    )
